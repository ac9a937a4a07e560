//! The picture that a user chose with `<button open-type="chooseAvatar">`: `POST /api/v1/user/avatar`
//! gives a form to upload it with, `PUT /api/v1/user/avatar` makes it the user's avatar.

mod begin;
mod check;
mod confirm;
#[cfg(feature = "openapi")]
mod openapi;

use std::sync::Arc;

use axum::{extract::FromRef, routing::post};
use shared::{
    auth::Admission, edge::Routes, instance::Instance, resilience::Limiter, users::Avatars,
};

use begin::{AreChecked, FormCost};
use check::PictureCheck;
use confirm::Confirmation;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct Avatar {
    admission: Admission,
    avatars: Avatars,
    limiter: Limiter,
    form_cost: FormCost,
    are_checked: AreChecked,
    confirmation: Arc<Confirmation>,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    // What is left of the picture before is looked for while the profile is read.
    instance.dynamo_at_start(2);
    instance.sealed_bodies();
    let avatars = instance.avatars();
    let check = PictureCheck::new(instance);
    let are_checked = AreChecked(check.is_some());
    let confirmation = Confirmation {
        avatars: avatars.clone(),
        check,
        profiles: instance.profiles(),
        clock: instance.clock(),
    };
    let state = Avatar {
        admission: instance.admission(),
        avatars,
        limiter: instance.limiter(),
        are_checked,
        form_cost: FormCost(instance.limits().avatar),
        confirmation: Arc::new(confirmation),
    };
    Routes::new()
        .route(
            "/api/v1/user/avatar",
            post(begin::begin).put(confirm::confirm),
        )
        .with_state(state)
}
