//! The deadline of a request: answers 504 before the platform ends the request without a response.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    api::{ApiError, Reason},
    request::deadline,
};

/// When the platform ends the request; a request extension. Such a platform (Lambda) may freeze the
/// process as soon as it has the answer.
#[derive(Clone, Copy, Debug)]
pub struct PlatformDeadline(pub Instant);

/// Reserved for writing the log and returning the response after the deadline.
const MARGIN: Duration = Duration::from_millis(200);
/// The same after the wait for work that outlives the request.
const FREEZE_MARGIN: Duration = Duration::from_millis(100);

/// The request's deadline; a request extension.
#[derive(Clone, Copy)]
struct End(Instant);

/// The deadline of `request`, which the first call sets.
pub(super) fn end_of(request: &mut Request, timeout: Duration) -> Instant {
    if let Some(End(end)) = request.extensions().get() {
        return *end;
    }
    let now = Instant::now();
    let ours = now + timeout;
    let end = match request.extensions().get() {
        Some(PlatformDeadline(end)) => end.checked_sub(MARGIN).unwrap_or(now).min(ours),
        None => ours,
    };
    request.extensions_mut().insert(End(end));
    end
}

/// Until when the answer may be held back for work that outlives the request
/// ([`run_to_end`](crate::request::run_to_end)). `None` where the process runs on after an answer.
pub(super) fn freeze_after(request: &Request) -> Option<Instant> {
    let PlatformDeadline(end) = request.extensions().get()?;
    end.checked_sub(FREEZE_MARGIN)
}

/// Runs the request under its deadline.
pub(super) async fn enforce(
    State(timeout): State<Duration>,
    mut request: Request,
    next: Next,
) -> Response {
    let end = end_of(&mut request, timeout);
    tokio::select! {
        // A call that the deadline interrupts fails at the same moment: the deadline is the cause,
        // so it is polled first.
        biased;
        () = sleep_until(end) => ApiError::new(Reason::UpstreamTimeout).into_response(),
        response = deadline::scope(Some(end), next.run(request)) => response,
    }
}
