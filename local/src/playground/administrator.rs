//! `POST /_playground/administrator`: makes the caller an administrator, as `make admin` does.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use shared::api::{ApiError, Empty, Reason, Success, bearer_token};

use super::Playground;

pub(super) async fn make_administrator(
    State(playground): State<Arc<Playground>>,
    headers: HeaderMap,
) -> Result<Success<Empty>, ApiError> {
    playground.claims(&headers).await?;
    if !playground.about.makes_administrators {
        return Err(Reason::Forbidden.into());
    }
    // Unlike the rows, rights are not for the token of a session that has ended.
    let (caller, _) = playground.admission.inspect(bearer_token(&headers)).await?;
    playground.users.make_administrator(caller.sub).await?;
    Ok(Success(Empty {}))
}
