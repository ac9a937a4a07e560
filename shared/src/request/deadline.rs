//! One deadline for each request, which every call that it makes inherits.
//!
//! The edge sets it: what `REQUEST_TIMEOUT_MS` allows, or what Lambda still gives the invocation
//! when that is less. A call asks [`cap`] how long it may take. Outside a request (start-up, tests)
//! there is none.

use std::time::Duration;

use tokio::time::Instant;

use super::{CURRENT, Current, InRequest};

/// Runs `work` under `deadline` (`None`: under none), in place of the one of the request at hand.
///
/// This ends nothing by itself: code that waits has to ask how long it may.
pub fn scope<F: Future>(deadline: Option<Instant>, work: F) -> InRequest<F> {
    let current = Current {
        deadline,
        ..super::current()
    };
    CURRENT.scope(current, work)
}

/// Runs `work` with `least` from now on, even when less was left: for writes that belong to
/// something that has happened already.
pub fn at_least<F: Future>(least: Duration, work: F) -> InRequest<F> {
    scope(
        current().map(|deadline| deadline.max(Instant::now() + least)),
        work,
    )
}

/// The deadline of the request at hand.
#[must_use]
pub fn current() -> Option<Instant> {
    CURRENT.try_with(|current| current.deadline).ok().flatten()
}

/// What is left of it.
#[must_use]
pub fn remaining() -> Option<Duration> {
    current().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// `limit`, or what is left when that is less.
#[must_use]
pub fn cap(limit: Duration) -> Duration {
    remaining().map_or(limit, |remaining| remaining.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_call_gets_what_is_left_and_no_more() {
        assert_eq!(cap(SECOND), SECOND);
        scope(Some(Instant::now() + 3 * SECOND), async {
            assert_eq!(cap(SECOND), SECOND);
            tokio::time::advance(2 * SECOND + SECOND / 2).await;
            assert_eq!((cap(SECOND), remaining()), (SECOND / 2, Some(SECOND / 2)));
            tokio::time::advance(SECOND).await;
            assert_eq!(cap(SECOND), Duration::ZERO);
        })
        .await;
        assert_eq!(remaining(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_to_be_finished_is_given_the_time() {
        scope(Some(Instant::now() + SECOND), async {
            at_least(3 * SECOND, async {
                assert_eq!(remaining(), Some(3 * SECOND));
            })
            .await;
            at_least(SECOND / 2, async { assert_eq!(remaining(), Some(SECOND)) }).await;
            assert_eq!(remaining(), Some(SECOND));
        })
        .await;
        at_least(SECOND, async { assert_eq!(remaining(), None) }).await;
    }
}
