//! Polls shared state for what another caller is doing, with growing pauses.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The first pause between two polls, and the longest.
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(200);

/// The pauses between polls.
pub(crate) struct Poll {
    give_up: Instant,
    pause: Duration,
}

impl Poll {
    /// Polls until about `give_up`.
    pub(crate) fn until(give_up: Instant) -> Self {
        Self {
            give_up,
            pause: POLL_MIN,
        }
    }

    /// Waits before the next poll, twice as long each time; `false` when the time is up.
    pub(crate) async fn wait(&mut self) -> bool {
        if Instant::now() >= self.give_up {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(POLL_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_end_soon_after_the_time_is_up() {
        let (start, wait) = (Instant::now(), Duration::from_secs(5));
        let mut poll = Poll::until(start + wait);
        let mut polls = 0;
        while poll.wait().await {
            polls += 1;
            if polls == 3 {
                assert_eq!(start.elapsed(), POLL_MIN * 7);
            }
        }
        assert!(start.elapsed() >= wait && start.elapsed() < wait + POLL_MAX);
        assert!((20..40).contains(&polls), "{polls}");
    }
}
