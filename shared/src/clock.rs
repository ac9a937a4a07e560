//! Injected time: production reads the system's clock, tests set their own.

mod moment;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
pub use moment::Moment;

/// Where the current time comes from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that moves only when a test moves it.
    Manual(ManualClock),
}

impl Clock {
    /// The current time in whole milliseconds: more digits would only make rows and tokens longer.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let millisecond = match self {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place where the clock is read"
            )]
            Self::System => Timestamp::now().as_millisecond(),
            Self::Manual(clock) => clock.0.load(Ordering::SeqCst),
        };
        Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The current time in whole seconds since the epoch, the unit of JWT claims and of DynamoDB's
    /// TTL.
    #[must_use]
    pub fn now_seconds(&self) -> i64 {
        self.now().as_second()
    }
}

/// A clock for tests: milliseconds since the epoch, shared by its clones.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock set to `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    /// Moves the clock forward (or back) by `seconds`.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}
