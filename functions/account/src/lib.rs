//! A user's own account: what they agreed to, everything that is stored about them, and its deletion.
//!
//! `GET /api/v1/user/consents`, `PUT` and `DELETE /api/v1/user/consents/{document}`,
//! `GET /api/v1/user/export`, `DELETE /api/v1/user`.

mod consents;
mod deletion;
mod export;
#[cfg(feature = "openapi")]
mod openapi;

use axum::{
    extract::FromRef,
    routing::{delete, get, put},
};
use shared::{
    accounts::AccountDeletion,
    auth::Admission,
    edge::Routes,
    instance::Instance,
    users::{Consents, RequiredConsents},
};

use export::Exports;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct Account {
    admission: Admission,
    consents: Consents,
    required: RequiredConsents,
    exports: Exports,
    deletion: AccountDeletion,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start(1);
    instance.sealed_bodies();
    let state = Account {
        admission: instance.admission(),
        consents: instance.consents(),
        required: instance.required_consents(),
        exports: Exports::new(instance),
        deletion: instance.account_deletion(),
    };
    Routes::new()
        .route("/api/v1/user/consents", get(consents::list))
        .route(
            "/api/v1/user/consents/{document}",
            put(consents::agree).delete(consents::withdraw),
        )
        .route("/api/v1/user/export", get(export::export))
        .route("/api/v1/user", delete(deletion::delete))
        .with_state(state)
}
