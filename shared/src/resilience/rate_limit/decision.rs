//! The result of a charge.

use std::time::Duration;

use super::{Cost, Mode, Policy};

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In the order of the costs.
    pub buckets: Vec<BucketState>,
}

impl Decision {
    /// Whether every enforced cost was paid.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.denials().next().is_none()
    }

    /// The time after which the same request would be admitted, if there are no others in between.
    /// Zero when it is admitted.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.denials()
            .map(|bucket| bucket.retry_after)
            .max()
            .unwrap_or_default()
    }

    /// The costs that could not be paid and are enforced.
    pub fn denials(&self) -> impl Iterator<Item = &BucketState> {
        self.unaffordable(Mode::Enforced)
    }

    /// The costs that could not be paid and are only reported.
    pub fn shadow_denials(&self) -> impl Iterator<Item = &BucketState> {
        self.unaffordable(Mode::Shadow)
    }

    fn unaffordable(&self, mode: Mode) -> impl Iterator<Item = &BucketState> {
        self.buckets
            .iter()
            .filter(move |bucket| bucket.cost.mode() == mode && !bucket.retry_after.is_zero())
    }
}

/// The state of one bucket after the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketState {
    /// The cost to be taken from it.
    pub cost: Cost,
    /// The time until it is full.
    pub reset_after: Duration,
    /// The time until it covers the cost. Zero when it did, or when it was refunded.
    pub retry_after: Duration,
}

impl BucketState {
    pub(super) fn new(cost: Cost, times: [i64; 2]) -> Self {
        let [reset_after, retry_after] =
            times.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
        Self {
            cost,
            reset_after,
            retry_after,
        }
    }

    /// The bucket's policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.cost.policy()
    }

    /// Whole units left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let filled = self.policy().refill().saturating_sub(self.reset_after);
        u32::try_from(filled.as_micros() / self.policy().interval().as_micros()).unwrap_or(u32::MAX)
    }

    /// The time within which no more than [`Self::remaining`] units are available. For a full
    /// bucket it is one interval: a unit that is taken from it is refilled by then.
    #[must_use]
    pub fn grows_after(&self) -> Duration {
        let missing = self.policy().burst().saturating_sub(self.remaining());
        (self.reset_after + self.policy().interval())
            .saturating_sub(self.policy().interval() * missing)
    }

    /// The same bucket after a while without requests.
    pub(super) fn after(self, elapsed: Duration) -> Self {
        let [reset_after, retry_after] =
            [self.reset_after, self.retry_after].map(|time| time.saturating_sub(elapsed));
        Self {
            reset_after,
            retry_after,
            ..self
        }
    }
}
