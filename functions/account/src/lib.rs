//! A user's own account: what they agreed to, and everything that is stored about them.
//!
//! `GET /api/v1/user/consents`, `PUT` and `DELETE /api/v1/user/consents/{document}`,
//! `GET /api/v1/user/export`.

mod consents;
mod export;

use axum::{
    extract::FromRef,
    routing::{get, put},
};
use shared::{
    auth::Admission,
    edge::Routes,
    instance::Instance,
    users::{Consents, RequiredConsents},
};

use export::Exports;

#[derive(Clone, FromRef)]
struct Account {
    admission: Admission,
    consents: Consents,
    required: RequiredConsents,
    exports: Exports,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start();
    instance.sealed_bodies();
    let state = Account {
        admission: instance.admission(),
        consents: instance.consents(),
        required: instance.required_consents(),
        exports: Exports::new(instance),
    };
    Routes::new()
        .route("/api/v1/user/consents", get(consents::list))
        .route(
            "/api/v1/user/consents/{document}",
            put(consents::agree).delete(consents::withdraw),
        )
        .route("/api/v1/user/export", get(export::export))
        .with_state(state)
}
