//! What is allowed, and what a request costs.

use std::time::Duration;

use thiserror::Error;

use crate::kv::Micros;

/// The longest that an empty bucket may take to fill. Keeps every sum of microseconds exact in Lua
/// (below 2^53).
const LONGEST_REFILL: Duration = Duration::from_hours(31 * 24);

/// Why a policy or a cost can't be used. Detected when settings are read, never during a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// The name becomes part of keys and headers.
    #[error("rate limit {0:?}: a name has lower-case letters, digits, - and _ only")]
    Name(&'static str),
    /// Nothing would ever be admitted.
    #[error("rate limit {0}: burst, rate and time must be above zero")]
    Zero(&'static str),
    /// Microseconds would no longer be exact.
    #[error("rate limit {0}: an empty bucket must be full again within 31 days")]
    TooSlow(&'static str),
    /// A request with this cost could never be admitted.
    #[error("rate limit {policy}: a cost of {cost} is not between 1 and the burst, {burst}")]
    Cost {
        /// The policy's name.
        policy: &'static str,
        /// The requested cost.
        cost: u32,
        /// The highest possible cost.
        burst: u32,
    },
}

/// A bucket that holds `burst` units and fills at a steady rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    name: &'static str,
    burst: u32,
    interval: Micros,
}

impl Policy {
    /// At most `burst` at once, and `count` every `per` in the long run.
    ///
    /// # Errors
    /// [`PolicyError`] for a policy that would never admit a request, or can't be counted exactly.
    pub fn new(
        name: &'static str,
        burst: u32,
        count: u32,
        per: Duration,
    ) -> Result<Self, PolicyError> {
        if !is_name(name) {
            return Err(PolicyError::Name(name));
        }
        if burst == 0 || count == 0 || per.is_zero() {
            return Err(PolicyError::Zero(name));
        }
        // Rounded up to whole microseconds: slightly less than configured is admitted, never more.
        let interval = per.as_nanos().div_ceil(u128::from(count) * 1000);
        if interval * u128::from(burst) > LONGEST_REFILL.as_micros() {
            return Err(PolicyError::TooSlow(name));
        }
        let interval = Micros::try_from(interval).map_err(|_| PolicyError::TooSlow(name))?;
        Ok(Self {
            name,
            burst,
            interval,
        })
    }

    /// Its name in keys, headers and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The units in a full bucket.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which one unit is refilled.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval.unsigned_abs())
    }

    /// The time in which an empty bucket is refilled.
    #[must_use]
    pub fn refill(&self) -> Duration {
        Duration::from_micros(self.refill_micros().unsigned_abs())
    }

    /// The cost of a request that takes `units`.
    ///
    /// # Errors
    /// [`PolicyError::Cost`] for zero units, and for more than a full bucket holds.
    pub fn cost(self, units: u32) -> Result<Cost, PolicyError> {
        if units == 0 || units > self.burst {
            return Err(PolicyError::Cost {
                policy: self.name,
                cost: units,
                burst: self.burst,
            });
        }
        Ok(Cost {
            policy: self,
            units,
            mode: Mode::Enforced,
        })
    }

    pub(super) fn refill_micros(&self) -> Micros {
        self.interval * Micros::from(self.burst)
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    !name.is_empty() && name.bytes().all(fits)
}

/// What happens when a cost can't be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The request is denied, and no bucket is charged.
    Enforced,
    /// The request is admitted, and the log reports it. The bucket is what it would be if the
    /// policy were enforced.
    Shadow,
    /// The cost is given back, at most up to a full bucket: the payer did not owe it.
    Refund,
}

/// A number of units of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    policy: Policy,
    units: u32,
    mode: Mode,
}

impl Cost {
    /// The same in another mode.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The policy whose bucket is charged.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many units are taken.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.units
    }

    /// What happens when it can't be paid.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn micros(&self) -> Micros {
        self.policy.interval * Micros::from(self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_interval_is_rounded_up_so_that_no_more_is_admitted() {
        assert_eq!(
            Policy::new("a", 40, 120, MINUTE).unwrap().interval(),
            Duration::from_millis(500)
        );
        assert_eq!(
            Policy::new("a", 1, 7, MINUTE).unwrap().interval(),
            Duration::from_micros(8_571_429)
        );
        assert_eq!(
            Policy::new("a", 1, 3, Duration::from_nanos(1))
                .unwrap()
                .interval(),
            Duration::from_micros(1)
        );
    }

    #[test]
    fn a_policy_that_never_admits_is_rejected() {
        for (burst, count, per) in [(0, 1, MINUTE), (1, 0, MINUTE), (1, 1, Duration::ZERO)] {
            assert_eq!(
                Policy::new("a", burst, count, per),
                Err(PolicyError::Zero("a"))
            );
        }
    }

    #[test]
    fn a_policy_that_cannot_be_counted_exactly_is_rejected() {
        let day = Duration::from_hours(24);
        assert!(Policy::new("a", 31, 1, day).is_ok());
        assert_eq!(Policy::new("a", 32, 1, day), Err(PolicyError::TooSlow("a")));
        assert_eq!(
            Policy::new("a", u32::MAX, 1, Duration::MAX),
            Err(PolicyError::TooSlow("a"))
        );
    }

    #[test]
    fn a_name_cannot_forge_a_key_or_a_header() {
        for name in ["", "a b", "a\"", "A", "a}", "é"] {
            assert_eq!(
                Policy::new(name, 1, 1, MINUTE),
                Err(PolicyError::Name(name))
            );
        }
    }

    #[test]
    fn a_cost_is_at_least_one_and_at_most_the_burst() {
        let policy = Policy::new("a", 5, 1, MINUTE).unwrap();
        assert_eq!(policy.cost(5).unwrap().units(), 5);
        for units in [0, 6] {
            assert_eq!(
                policy.cost(units),
                Err(PolicyError::Cost {
                    policy: "a",
                    cost: units,
                    burst: 5
                })
            );
        }
    }
}
