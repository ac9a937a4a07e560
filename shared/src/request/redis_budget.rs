//! How long a request has waited for Redis, over consecutive and concurrent calls.

use std::time::Duration;

use tokio::time::Instant;

/// A stopwatch on which overlapping waits count once.
#[derive(Debug, Default)]
pub struct RedisBudget {
    total: Duration,
    /// The part of `total` that does not count against the request.
    excluded: Duration,
    running: Option<Running>,
}

/// The waits in progress.
#[derive(Debug)]
struct Running {
    count: usize,
    since: Instant,
    /// When the last one ends at the latest. Time after it, in a frozen instance, is not counted.
    until: Instant,
}

impl RedisBudget {
    /// How long the request has waited in total.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
            + self
                .running
                .as_ref()
                .map(Running::elapsed)
                .unwrap_or_default()
    }

    /// The part of it that counts against the request.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.total().saturating_sub(self.excluded)
    }

    /// Resets what was spent.
    pub fn renew(&mut self) {
        self.excluded = self.total();
    }

    /// Starts a wait that ends at `until` at the latest.
    pub fn start(&mut self, until: Instant) {
        let running = self.running.get_or_insert_with(|| Running {
            count: 0,
            since: Instant::now(),
            until,
        });
        running.count += 1;
        running.until = running.until.max(until);
    }

    /// Ends a wait.
    pub fn end(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.count = running.count.saturating_sub(1);
        if running.count == 0 {
            self.total = self.total();
            self.running = None;
        }
    }
}

impl Running {
    fn elapsed(&self) -> Duration {
        Instant::now()
            .min(self.until)
            .saturating_duration_since(self.since)
    }
}
