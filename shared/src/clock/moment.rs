//! A point in time from which an instance can measure even across a freeze.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Clock;

/// The current time on two clocks. Neither is enough by itself: the monotonic clock may stop while
/// an instance is frozen (a pause of 250 ms would then last for as many invocations as it takes to
/// run that long), and the wall clock may be set back (the pause would then last until it has
/// caught up).
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    running: Instant,
    wall: Timestamp,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now(clock: &Clock) -> Self {
        Self {
            running: Instant::now(),
            wall: clock.now(),
        }
    }

    /// The time elapsed since `earlier`, by the clock that moved more. Setting the wall clock can
    /// only make it longer than it was, so a wait that is measured with it has to tolerate ending
    /// early.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unsigned_abs();
        self.running
            .saturating_duration_since(earlier.running)
            .max(wall)
    }

    #[cfg(test)]
    pub(crate) fn after(self, running: Duration, wall: jiff::SignedDuration) -> Self {
        Self {
            running: self.running + running,
            wall: self.wall + wall,
        }
    }
}
