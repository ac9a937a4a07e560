//! The deadline of a request, which every call that it makes inherits.
//!
//! The edge sets it from `REQUEST_TIMEOUT_MS`, or from the invocation's remaining time when that is
//! less. Calls limit their timeouts with [`cap`]. Outside a request (start-up, tests) there is no
//! deadline.

use std::time::Duration;

use tokio::time::Instant;

use super::{CURRENT, Current, InRequest};

/// Runs `work` under `deadline` (`None`: without one), which replaces the current request's.
///
/// This cancels nothing by itself: code that waits has to limit its wait with [`cap`].
pub fn scope<F: Future>(deadline: Option<Instant>, work: F) -> InRequest<F> {
    let current = Current {
        deadline,
        ..super::current()
    };
    CURRENT.scope(current, work)
}

/// Runs `work` with at least `least` left, even past the deadline: for writes that record what has
/// already happened.
pub fn at_least<F: Future>(least: Duration, work: F) -> InRequest<F> {
    scope(
        current().map(|deadline| deadline.max(Instant::now() + least)),
        work,
    )
}

/// The deadline of the current request.
#[must_use]
pub fn current() -> Option<Instant> {
    CURRENT.try_with(|current| current.deadline).ok().flatten()
}

/// The time until the deadline.
#[must_use]
pub fn remaining() -> Option<Duration> {
    current().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// `limit`, or the time until the deadline when that is less.
#[must_use]
pub fn cap(limit: Duration) -> Duration {
    remaining().map_or(limit, |remaining| remaining.min(limit))
}

/// What is left for the answer when long work stops in time.
const FOR_THE_ANSWER: Duration = Duration::from_secs(1);

/// Work on many rows, which stops a second before the request's deadline (or when three quarters of a
/// shorter time are over), so that the client is told that another request goes on with it.
#[derive(Clone, Copy, Debug)]
pub struct LongWork {
    until: Option<Instant>,
}

impl LongWork {
    /// Work that begins now.
    #[must_use]
    pub fn begin() -> Self {
        let until = remaining().map(|left| Instant::now() + left - FOR_THE_ANSWER.min(left / 4));
        Self { until }
    }

    /// Whether there is time for more of it.
    #[must_use]
    pub fn may_go_on(self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_call_gets_at_most_the_remaining_time() {
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
    async fn long_work_stops_before_the_deadline() {
        assert!(LongWork::begin().may_go_on());
        for (deadline, stops_after) in [(8 * SECOND, 7 * SECOND), (SECOND, SECOND * 3 / 4)] {
            scope(Some(Instant::now() + deadline), async {
                let work = LongWork::begin();
                tokio::time::advance(stops_after * 99 / 100).await;
                assert!(work.may_go_on());
                tokio::time::advance(stops_after / 100).await;
                assert!(!work.may_go_on());
            })
            .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn at_least_extends_a_short_deadline() {
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
