//! `POST /_playground/administrator`: makes the caller an administrator, as `make admin` does.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use shared::api::{ApiError, Empty, Reason, Success};

use super::Playground;

pub(super) async fn make_administrator(
    State(playground): State<Arc<Playground>>,
    headers: HeaderMap,
) -> Result<Success<Empty>, ApiError> {
    let caller = playground.claims(&headers).await?;
    if !playground.about.makes_administrators {
        return Err(Reason::Forbidden.into());
    }
    playground.users.make_administrator(caller.sub).await?;
    Ok(Success(Empty {}))
}
