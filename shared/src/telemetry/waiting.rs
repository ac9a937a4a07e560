//! How long a request waits for something that it may wait for several times, and at the same time.

use std::time::Duration;

use tokio::time::Instant;

/// A stopwatch: what overlaps counts once.
#[derive(Debug, Default)]
pub struct Waiting {
    total: Duration,
    /// The part of it that is not held against the request any more.
    forgiven: Duration,
    now: Option<Now>,
}

/// The waits under way.
#[derive(Debug)]
struct Now {
    count: usize,
    since: Instant,
    /// When the last one has to be over. What an instance was frozen beyond that is no waiting.
    until: Instant,
}

impl Waiting {
    /// What the request has waited in all.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total + self.now.as_ref().map(Now::length).unwrap_or_default()
    }

    /// What of it counts against the request.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.total().saturating_sub(self.forgiven)
    }

    /// All that was spent is given back.
    pub fn renew(&mut self) {
        self.forgiven = self.total();
    }

    /// Starts a wait that will be over at `until`.
    pub fn start(&mut self, until: Instant) {
        let now = self.now.get_or_insert_with(|| Now {
            count: 0,
            since: Instant::now(),
            until,
        });
        now.count += 1;
        now.until = now.until.max(until);
    }

    /// Ends a wait.
    pub fn end(&mut self) {
        let Some(now) = &mut self.now else { return };
        now.count = now.count.saturating_sub(1);
        if now.count == 0 {
            self.total = self.total();
            self.now = None;
        }
    }

    /// The same for a part of the request in a task of its own.
    pub(super) fn inherited(&self) -> Self {
        Self {
            total: self.total(),
            forgiven: self.forgiven,
            now: None,
        }
    }
}

impl Now {
    fn length(&self) -> Duration {
        Instant::now()
            .min(self.until)
            .saturating_duration_since(self.since)
    }
}
