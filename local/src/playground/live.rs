//! `GET /_playground/live`: what changes by itself. The page asks once a second.

use std::sync::Arc;

use axum::extract::{Query, State, rejection::QueryRejection};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Reason, Success},
    resilience::breaker::BreakerReport,
};

use super::{Playground, log_tail::Excerpt};

#[derive(Deserialize)]
pub(super) struct Seen {
    /// The number of the first line of the log that the page has not seen.
    #[serde(default)]
    since: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    /// Another one after each start: the numbers of lines begin again then.
    instance: String,
    /// The circuit breaker in front of WeChat; `None` while shared state is unavailable.
    breaker: Option<BreakerReport>,
    log: Excerpt,
}

pub(super) async fn live(
    State(playground): State<Arc<Playground>>,
    seen: Result<Query<Seen>, QueryRejection>,
) -> Result<Success<Live>, ApiError> {
    let seen = seen.map_err(|error| ApiError::new(Reason::InvalidRequest).because(&error))?;
    Ok(Success(Live {
        instance: playground.instance.clone(),
        // Why it is unavailable is in the lines of the requests that need it.
        breaker: playground.breaker.inspect().await.ok(),
        log: playground.log.since(seen.since),
    }))
}
