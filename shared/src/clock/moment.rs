//! A point in time that an instance can measure from even when it was frozen in between.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Clock;

/// Now, on two clocks. Neither is enough: the monotonic one may stand still while an instance is
/// frozen (then a pause of 250 ms would last for as many invocations as it takes to run that long),
/// and the wall clock may be set back (then it would last until the wall clock has caught up).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    running: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(crate) fn now(clock: &Clock) -> Self {
        Self {
            running: Instant::now(),
            wall: clock.now(),
        }
    }

    /// What has passed since `earlier`, by the clock that moved more. A wall clock that is set
    /// makes it longer than it was; what waits for a time to pass must bear that it ends early.
    pub(crate) fn since(self, earlier: Self) -> Duration {
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
