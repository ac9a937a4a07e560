//! The last ten seconds of calls.

/// Seconds in the window.
pub(super) const LENGTH: i64 = 10;
/// The same, as a number of buckets.
pub(super) const SECONDS: usize = 10;
/// The most failing instances that are recorded; enough for any quorum.
pub(super) const MAX_FAILING: usize = 8;
/// The maximum of one counter: sums of ten, times a hundred, stay exact in Lua.
pub(super) const MAX_COUNT: i64 = 1_000_000_000;

/// The calls of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) total: i64,
    pub(super) failed: i64,
    pub(super) slow: i64,
}

impl Calls {
    pub(super) fn bad(self) -> i64 {
        self.failed + self.slow
    }

    fn plus(self, other: Self) -> Self {
        let sum = |a: i64, b: i64| (a + b).min(MAX_COUNT);
        Self {
            total: sum(self.total, other.total),
            failed: sum(self.failed, other.failed),
            slow: sum(self.slow, other.slow),
        }
    }
}

/// An instance with a failed or slow call, and the second of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) instance: i64,
    pub(super) second: i64,
}

/// Ten seconds of calls, and the instances with bad ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// The second (since the epoch) of the first bucket; each later one is a second older.
    pub(super) newest: i64,
    pub(super) buckets: [Calls; SECONDS],
    /// The most recent failure comes first.
    pub(super) failing: Vec<Failing>,
}

impl Window {
    /// Counts calls that an instance reports now.
    pub(super) fn count(&mut self, second: i64, calls: Calls, instance: i64) {
        self.advance(second);
        self.buckets[0] = self.buckets[0].plus(calls);
        if calls.bad() > 0 {
            let newest = self.newest;
            self.failing
                .retain(|one| one.instance != instance && newest - one.second < LENGTH);
            self.failing.insert(
                0,
                Failing {
                    instance,
                    second: newest,
                },
            );
            self.failing.truncate(MAX_FAILING);
        }
    }

    /// Drops what is too old. If the clock was set back by less than the window, the newest second
    /// lasts until the clock has caught up; if by more, everything is dropped.
    fn advance(&mut self, second: i64) {
        let passed = second - self.newest;
        if passed < -LENGTH {
            *self = Self {
                newest: second,
                ..Self::default()
            };
        } else if let Ok(passed @ 1..) = usize::try_from(passed) {
            let passed = passed.min(SECONDS);
            self.buckets.rotate_right(passed);
            self.buckets[..passed].fill(Calls::default());
            self.newest = second;
        }
    }

    /// All calls in the window, the failed or slow ones among them, and how many instances had
    /// those.
    pub(super) fn totals(&self) -> Totals {
        let sum = |count: fn(&Calls) -> i64| self.buckets.iter().map(count).sum::<i64>();
        let is_recent = |one: &&Failing| self.newest - one.second < LENGTH;
        let instances = self.failing.iter().filter(is_recent).count();
        Totals {
            calls: sum(|calls| calls.total),
            bad: sum(|calls| calls.bad()),
            instances: i64::try_from(instances).unwrap_or(i64::MAX),
        }
    }
}

/// The sums of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: i64,
    pub(super) bad: i64,
    pub(super) instances: i64,
}
