//! How a receiver behaves during one invocation, and so whether and when it is called again in it.

use std::time::Duration;

use tokio::time::Instant;

use crate::{retry_after::LONGEST_WAIT, sender::Failure};

/// A receiver is left alone until the next time after this many failures in a row.
const MAX_FAILURES: u32 = 10;
/// As how many failures a time-out counts.
const TIMEOUT_WEIGHT: u32 = 5;
/// As how many failures a pause counts. Within the first two, what the receiver works on may end.
const PAUSE_WEIGHT: u32 = 4;
/// The shortest pause: `Retry-After` has whole seconds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How a receiver behaves.
#[derive(Debug, Default)]
pub struct Behaviour {
    /// In a row.
    failures: u32,
    /// The end of the pause that the receiver asked for last.
    paused_until: Option<Instant>,
    asks_for_a_long_pause: bool,
}

impl Behaviour {
    /// Whether the receiver is left alone until the next time.
    pub fn is_over(&self) -> bool {
        self.asks_for_a_long_pause || self.failures >= MAX_FAILURES
    }

    /// Whether that is because it asks for a long pause.
    pub fn asks_for_a_long_pause(&self) -> bool {
        self.asks_for_a_long_pause
    }

    /// How long it is not to be called, as it asked.
    pub fn pause_left(&self, now: Instant) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(now);
        self.paused_until.map(left).unwrap_or_default()
    }

    /// It took an event.
    pub fn record_success(&mut self) {
        self.failures = 0;
    }

    /// An attempt that was made at `attempted_at` has failed.
    pub fn record_failure(&mut self, failure: &Failure, attempted_at: Instant, now: Instant) {
        let weight = match failure.retry_after {
            Some(asked) if asked > LONGEST_WAIT => {
                self.asks_for_a_long_pause = true;
                0
            }
            Some(asked) => self.pause(asked, attempted_at, now),
            None if failure.is_unresponsive => TIMEOUT_WEIGHT,
            None => 1,
        };
        self.failures = self.failures.saturating_add(weight);
    }

    /// Begins or extends a pause, and returns as how many failures it counts. What was already on its way
    /// when a pause began is refused for the same reason, and does not count again.
    fn pause(&mut self, asked: Duration, attempted_at: Instant, now: Instant) -> u32 {
        let known = self.paused_until;
        let is_same = known.is_some_and(|until| attempted_at < until);
        let until = now + asked.max(SHORTEST_PAUSE);
        self.paused_until = known.max(Some(until));
        if is_same { 0 } else { PAUSE_WEIGHT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn failure(retry_after: Option<u32>, is_unresponsive: bool) -> Failure {
        Failure {
            reason: "status 429".into(),
            retry_after: retry_after.map(|seconds| SECOND * seconds),
            is_unresponsive,
        }
    }

    /// How many attempts one after the other end an invocation.
    fn attempts_until_over(failure: &Failure) -> u32 {
        let mut behaviour = Behaviour::default();
        let (start, mut attempts) = (Instant::now(), 0);
        while !behaviour.is_over() {
            let at = start + SECOND * 20 * attempts;
            behaviour.record_failure(failure, at, at + SECOND);
            attempts += 1;
        }
        attempts
    }

    #[test]
    fn a_receiver_is_left_alone_after_failures_in_a_row() {
        for (retry_after, is_unresponsive, attempts) in [
            (None, false, 10),
            (None, true, 2),
            (Some(10), false, 3),
            (Some(11), false, 1),
        ] {
            let failure = failure(retry_after, is_unresponsive);
            assert_eq!(attempts_until_over(&failure), attempts, "{failure:?}");
        }
    }

    #[test]
    fn a_pause_counts_once_however_many_attempts_it_refuses() {
        let start = Instant::now();
        let mut behaviour = Behaviour::default();
        for sent_after in 0..20 {
            let sent = start + Duration::from_millis(sent_after);
            behaviour.record_failure(&failure(Some(2), false), sent, start + SECOND);
        }
        assert!(!behaviour.is_over());
        assert_eq!(behaviour.pause_left(start + SECOND), SECOND * 2);
        assert_eq!(behaviour.pause_left(start + SECOND * 4), Duration::ZERO);
        for later in [4, 8] {
            assert!(!behaviour.is_over());
            let again = start + SECOND * later;
            behaviour.record_failure(&failure(Some(2), false), again, again);
        }
        assert!(behaviour.is_over(), "nothing was taken after two pauses");
        behaviour.record_success();
        assert!(!behaviour.is_over());
    }

    #[test]
    fn of_attempts_together_the_one_that_asks_for_most_decides() {
        let start = Instant::now();
        let mut behaviour = Behaviour::default();
        behaviour.record_failure(&failure(Some(0), false), start, start);
        assert_eq!(behaviour.pause_left(start), SHORTEST_PAUSE);
        behaviour.record_failure(&failure(Some(9), false), start, start);
        behaviour.record_failure(&failure(Some(3), false), start, start);
        assert_eq!(behaviour.pause_left(start), SECOND * 9);
    }

    #[test]
    fn a_success_on_its_way_does_not_end_a_long_pause() {
        let start = Instant::now();
        let mut behaviour = Behaviour::default();
        behaviour.record_failure(&failure(Some(300), false), start, start);
        behaviour.record_success();
        assert!(behaviour.is_over());
    }
}
