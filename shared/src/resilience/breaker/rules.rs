//! When a breaker opens, and for how long.

use std::time::Duration;

use thiserror::Error;

use super::window::{MAX_FAILING, Totals};
use crate::{config::BreakerSettings, kv::Micros};

/// The longest open time and the longest lease. Keeps every product exact in Lua (below 2^53).
const LONGEST: Duration = Duration::from_hours(1);

/// The longest forced state: a week.
pub(super) const MAX_FORCED: Micros = 7 * 24 * 3600 * 1_000_000;

/// Why a breaker can't work with its settings. Detected when they are read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BreakerError {
    /// The number of calls is zero, or the ratio is not from 1 to 100 %.
    #[error("breaker {0}: needs at least one call, and a ratio of 1 to 100 %")]
    Threshold(&'static str),
    /// The quorum is zero, or more than the failing instances that a record can hold.
    #[error("breaker {0}: needs a quorum of 1 to {MAX_FAILING} instances")]
    Quorum(&'static str),
    /// A time is out of range.
    #[error(
        "breaker {0}: open times and lease must be above zero and at most an hour, the shortest open time at most the longest"
    )]
    Times(&'static str),
}

/// The settings that decide, in the machine's units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) min_calls: i64,
    pub(super) ratio_percent: i64,
    pub(super) quorum: i64,
    pub(super) open_min: Micros,
    pub(super) open_max: Micros,
    pub(super) lease: Micros,
}

impl Rules {
    pub(super) fn new(
        name: &'static str,
        settings: &BreakerSettings,
    ) -> Result<Self, BreakerError> {
        let quorum = i64::from(settings.quorum);
        if settings.min_calls == 0 || !(1..=100).contains(&settings.ratio_percent) {
            return Err(BreakerError::Threshold(name));
        }
        if usize::try_from(quorum).is_ok_and(|quorum| !(1..=MAX_FAILING).contains(&quorum)) {
            return Err(BreakerError::Quorum(name));
        }
        let time =
            |time: Duration| Some(micros(time)).filter(|micros| *micros > 0 && time <= LONGEST);
        let times = (
            time(settings.open_min),
            time(settings.open_max),
            time(settings.lease),
        );
        let (Some(open_min), Some(open_max), Some(lease)) = times else {
            return Err(BreakerError::Times(name));
        };
        if open_min > open_max {
            return Err(BreakerError::Times(name));
        }
        let (min_calls, ratio_percent) = (settings.min_calls.into(), settings.ratio_percent.into());
        Ok(Self {
            min_calls,
            ratio_percent,
            quorum,
            open_min,
            open_max,
            lease,
        })
    }
}

impl Rules {
    /// Whether enough calls were bad, on enough instances.
    pub(super) fn should_trip(&self, totals: Totals) -> bool {
        totals.calls >= self.min_calls
            && totals.bad * 100 >= self.ratio_percent * totals.calls
            && totals.instances >= self.quorum
    }
}

/// Whole microseconds, at most [`MAX_FORCED`].
pub(super) fn micros(time: Duration) -> Micros {
    Micros::try_from(time.as_micros()).map_or(MAX_FORCED, |micros| micros.min(MAX_FORCED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(change: impl FnOnce(&mut BreakerSettings)) -> Option<BreakerError> {
        let mut settings = BreakerSettings::default();
        change(&mut settings);
        Rules::new("wechat", &settings).err()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(rules(|_| {}), None);
    }

    #[test]
    fn rules_that_never_open_or_never_close_are_rejected() {
        assert_eq!(
            rules(|settings| settings.min_calls = 0),
            Some(BreakerError::Threshold("wechat"))
        );
        for ratio in [0, 101] {
            assert_eq!(
                rules(|settings| settings.ratio_percent = ratio),
                Some(BreakerError::Threshold("wechat"))
            );
        }
        for quorum in [0, 9, u32::MAX] {
            assert_eq!(
                rules(|settings| settings.quorum = quorum),
                Some(BreakerError::Quorum("wechat"))
            );
        }
        for time in [
            Duration::ZERO,
            Duration::from_nanos(999),
            Duration::from_secs(3601),
            Duration::MAX,
        ] {
            assert_eq!(
                rules(|settings| settings.open_max = time),
                Some(BreakerError::Times("wechat"))
            );
            assert_eq!(
                rules(|settings| settings.lease = time),
                Some(BreakerError::Times("wechat"))
            );
        }
        assert_eq!(
            rules(|settings| settings.open_min = Duration::from_secs(61)),
            Some(BreakerError::Times("wechat"))
        );
    }
}
