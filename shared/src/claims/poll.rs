//! Waiting for something that another caller does, by looking from time to time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::request;

/// The first pause between two looks, and the longest.
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(200);

/// The pauses between looks.
pub(crate) struct Poll {
    give_up: Instant,
    pause: Duration,
}

impl Poll {
    /// Looks until about `give_up`.
    pub(crate) fn until(give_up: Instant) -> Self {
        Self {
            give_up,
            pause: POLL_MIN,
        }
    }

    /// Waits for the next look, twice as long as for the one before; `false` when the time is up.
    /// Each look has the request's whole time for Redis.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.give_up {
            return false;
        }
        sleep(self.pause).await;
        request::renew_redis_budget();
        self.pause = (self.pause * 2).min(POLL_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_soon_after_the_time_is_up() {
        let (start, wait) = (Instant::now(), Duration::from_secs(5));
        let mut poll = Poll::until(start + wait);
        let mut looks = 0;
        while poll.wait().await {
            looks += 1;
            if looks == 3 {
                assert_eq!(start.elapsed(), POLL_MIN * 7);
            }
        }
        assert!(start.elapsed() >= wait && start.elapsed() < wait + POLL_MAX);
        assert!((20..40).contains(&looks), "{looks}");
    }
}
