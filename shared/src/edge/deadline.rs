//! The end of a request's time: a 504 of our own, before the platform ends the request with
//! nothing.

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

/// When the platform ends the request; a request extension.
#[derive(Clone, Copy, Debug)]
pub struct PlatformDeadline(pub Instant);

/// What it takes to answer once the time is over: to write the log and hand over the answer.
const MARGIN: Duration = Duration::from_millis(200);

/// When the request's time is over; a request extension.
#[derive(Clone, Copy)]
struct End(Instant);

/// The end of the time that `request` has, which is set when it is asked for first.
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

/// Runs the request under its deadline.
pub(super) async fn enforce(
    State(timeout): State<Duration>,
    mut request: Request,
    next: Next,
) -> Response {
    let end = end_of(&mut request, timeout);
    tokio::select! {
        // A call that the deadline cuts ends in the same moment: then it is the time that was too
        // short, not the call that failed.
        biased;
        () = sleep_until(end) => ApiError::new(Reason::UpstreamTimeout).into_response(),
        response = deadline::scope(Some(end), next.run(request)) => response,
    }
}
