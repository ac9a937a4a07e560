//! A user's own account: what they agreed to and to receive, what happened to it, everything that is stored about them,
//! and its deletion.
//!
//! `GET /api/v1/user/consents`, `PUT` and `DELETE /api/v1/user/consents/{document}`,
//! `GET` and `PUT /api/v1/user/subscriptions`, `GET /api/v1/user/activity`, `GET /api/v1/user/export`, `DELETE /api/v1/user`.

mod activity;
mod consents;
mod deletion;
mod export;
#[cfg(feature = "openapi")]
mod openapi;
mod subscriptions;

use axum::{
    extract::FromRef,
    routing::{delete, get, put},
};
use shared::{
    accounts::AccountDeletion,
    api::Cursors,
    audit::AuditTrail,
    auth::Admission,
    config::MessageTemplates,
    edge::Routes,
    instance::Instance,
    messages::Grants,
    users::{Consents, Identities, RequiredConsents},
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
    trail: AuditTrail,
    cursors: Cursors,
    deletion: AccountDeletion,
    grants: Grants,
    identities: Identities,
    templates: MessageTemplates,
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
        trail: instance.audit_trail(),
        cursors: instance.cursors(),
        deletion: instance.account_deletion(),
        grants: instance.grants(),
        identities: instance.identities(),
        templates: MessageTemplates::read(instance.env()),
    };
    Routes::new()
        .route("/api/v1/user/consents", get(consents::list))
        .route(
            "/api/v1/user/consents/{document}",
            put(consents::agree).delete(consents::withdraw),
        )
        .route(
            "/api/v1/user/subscriptions",
            get(subscriptions::list).put(subscriptions::record),
        )
        .route("/api/v1/user/activity", get(activity::list))
        .route("/api/v1/user/export", get(export::export))
        .route("/api/v1/user", delete(deletion::delete))
        .with_state(state)
}
