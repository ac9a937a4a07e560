//! The deadline of a request: answers 504 before the platform ends the request without a response.

use std::time::Duration;

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, sleep_until};

use super::Arrival;
use crate::{
    api::{ApiError, Reason},
    request::deadline,
};

/// Reserved for writing the log and returning the response after the deadline.
const MARGIN: Duration = Duration::from_millis(200);
/// The same after the wait for work that outlives the request.
const FREEZE_MARGIN: Duration = Duration::from_millis(100);

/// The deadline of `request`: our own, or shortly before the platform's when that is earlier.
pub(super) fn end_of(request: &Request, timeout: Duration) -> Instant {
    let now = Instant::now();
    let ours = now + timeout;
    match platforms(request) {
        Some(end) => end.checked_sub(MARGIN).unwrap_or(now).min(ours),
        None => ours,
    }
}

/// Until when the answer may be held back for work that outlives the request
/// ([`run_to_end`](crate::request::run_to_end)). `None` where the process runs on after an answer.
pub(super) fn freeze_after(request: &Request) -> Option<Instant> {
    platforms(request)?.checked_sub(FREEZE_MARGIN)
}

fn platforms(request: &Request) -> Option<Instant> {
    request.extensions().get::<Arrival>()?.deadline
}

/// Answers under this deadline.
pub(super) async fn enforce(end: Instant, answer: impl Future<Output = Response>) -> Response {
    tokio::select! {
        // A call that the deadline interrupts fails at the same moment: the deadline is the cause,
        // so it is polled first.
        biased;
        () = sleep_until(end) => ApiError::new(Reason::UpstreamTimeout).into_response(),
        response = deadline::scope(Some(end), answer) => response,
    }
}
