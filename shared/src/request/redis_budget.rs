//! How long a request has waited for Redis, over consecutive and concurrent calls.

use std::time::Duration;

use tokio::time::Instant;

/// The two times that a request's calls to Redis take.
#[derive(Debug, Default)]
pub struct RedisBudget {
    /// All of it.
    waited: Stopwatch,
    /// The part that counts against the request: its lookups and best-effort writes.
    charged: Stopwatch,
    /// The part of `charged` that no longer counts.
    renewed: Duration,
}

/// Whether a wait counts against the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It counts.
    Request,
    /// It does not.
    Nobody,
}

impl RedisBudget {
    /// How long the request has waited in total.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.waited.read(Instant::now())
    }

    /// The part of it that counts against the request, as of `now`.
    #[must_use]
    pub fn spent(&self, now: Instant) -> Duration {
        self.charged.read(now).saturating_sub(self.renewed)
    }

    /// Resets what was spent.
    pub fn renew(&mut self) {
        self.renewed = self.charged.read(Instant::now());
    }

    /// Starts a wait at `now`, which ends at `until` at the latest. If `until` follows from what
    /// was [`spent`](Self::spent), both need the same `now`: between two readings of the clock the
    /// thread may be suspended, and a wait in progress would become longer by that time.
    pub fn start(&mut self, charge: Charge, now: Instant, until: Instant) {
        for stopwatch in self.stopwatches(charge) {
            stopwatch.start(now, until);
        }
    }

    /// Ends a wait that was started with the same `charge`.
    pub fn end(&mut self, charge: Charge) {
        let now = Instant::now();
        for stopwatch in self.stopwatches(charge) {
            stopwatch.end(now);
        }
    }

    fn stopwatches(&mut self, charge: Charge) -> impl Iterator<Item = &mut Stopwatch> {
        let charged = (charge == Charge::Request).then_some(&mut self.charged);
        charged.into_iter().chain([&mut self.waited])
    }
}

/// A stopwatch on which overlapping waits count once.
#[derive(Debug, Default)]
struct Stopwatch {
    total: Duration,
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

impl Stopwatch {
    fn read(&self, now: Instant) -> Duration {
        let running = self.running.as_ref();
        self.total
            + running
                .map(|running| running.elapsed(now))
                .unwrap_or_default()
    }

    fn start(&mut self, now: Instant, until: Instant) {
        let running = self.running.get_or_insert(Running {
            count: 0,
            since: now,
            until,
        });
        running.count += 1;
        running.until = running.until.max(until);
    }

    fn end(&mut self, now: Instant) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.count = running.count.saturating_sub(1);
        if running.count == 0 {
            self.total = self.read(now);
            self.running = None;
        }
    }
}

impl Running {
    fn elapsed(&self, now: Instant) -> Duration {
        now.min(self.until).saturating_duration_since(self.since)
    }
}
