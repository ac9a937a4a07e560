//! `GET /api/v1/crypto/key`: the key that clients seal bodies with.

use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::{
    api::{ApiError, Reason, Success},
    crypto::{RsaJwk, TransportKey, TransportKeys, jwe::Enc},
    instance::Instance,
};

/// The JWK, and what it may be used with.
#[derive(Clone, Serialize)]
struct OfferedKey {
    #[serde(flatten)]
    key: RsaJwk,
    /// The accepted values of a JWE's `enc`.
    enc: [Enc; 2],
}

/// The route that tells the key; none where there is no key.
pub fn key_routes(instance: &Instance) -> Router {
    match instance.sealed_bodies() {
        Some(keys) => Router::new()
            .route("/api/v1/crypto/key", get(key))
            .with_state(keys),
        None => Router::new(),
    }
}

async fn key(State(keys): State<Arc<TransportKeys>>) -> Result<impl IntoResponse, ApiError> {
    let offer = |key: &TransportKey| OfferedKey {
        key: key.public().jwk(key.kid()),
        enc: Enc::ALL,
    };
    let offered = keys.first().map(offer).ok_or(Reason::NotFound)?;
    Ok(([(CACHE_CONTROL, "public, max-age=600")], Success(offered)))
}
