//! Tokens and sessions: refresh, logout, a user's own sessions; and the public keys: those that
//! verify access tokens, and the one that seals bodies.

mod crypto_key;
mod jwks;
#[cfg(feature = "openapi")]
mod openapi;
mod refresh;
mod sessions;

use std::sync::Arc;

use axum::{
    extract::FromRef,
    routing::{delete, get, post},
};
use shared::{
    auth::{Admission, Sessions, Tokens},
    edge::Routes,
    instance::Instance,
    users::Activity,
};

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct Token {
    admission: Admission,
    sessions: Sessions,
    tokens: Arc<Tokens>,
    activity: Activity,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.dynamo_at_start(1);
    let state = Token {
        admission: instance.admission(),
        sessions: instance.sessions(),
        tokens: instance.tokens(),
        activity: instance.activity(),
    };
    Routes::new()
        .route("/api/v1/user/refresh", post(refresh::refresh))
        .route("/api/v1/user/logout", post(sessions::logout))
        .route("/api/v1/user/sessions", get(sessions::list))
        .route("/api/v1/user/sessions/{id}", delete(sessions::end))
        .route("/.well-known/jwks.json", get(jwks::keys))
        .with_state(state)
        .merge(crypto_key::routes(instance.sealed_bodies()))
}
