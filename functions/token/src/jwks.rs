//! `GET /.well-known/jwks.json`
//!
//! Without the envelope, because libraries that verify tokens expect a plain key set (RFC 7517 §5).

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use shared::{
    api::{ApiError, Reason},
    auth::Tokens,
};

/// A new key is published before it signs, for longer than this.
const CACHE_CONTROL: &str = "public, max-age=600";

pub async fn keys(State(tokens): State<Arc<Tokens>>) -> Result<impl IntoResponse, ApiError> {
    let headers = [
        ("Content-Type", "application/jwk-set+json"),
        ("Cache-Control", CACHE_CONTROL),
    ];
    let body = serde_json::to_vec(&tokens.public_keys());
    Ok((
        headers,
        body.map_err(|error| ApiError::new(Reason::Internal).because(&error))?,
    ))
}
