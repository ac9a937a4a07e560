//! How long values of one kind are kept, and what happens when they expire.

use std::time::Duration;

/// The rules of one kind of value.
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy {
    pub(super) name: &'static str,
    pub(super) ttl: Duration,
    pub(super) renewed_early: bool,
    pub(super) stale: Duration,
}

impl CachePolicy {
    /// Values that expire after `ttl`; `name` is their label in metrics.
    #[must_use]
    pub const fn new(name: &'static str, ttl: Duration) -> Self {
        Self {
            name,
            ttl,
            renewed_early: false,
            stale: Duration::ZERO,
        }
    }

    /// The same, loaded by one reader shortly before they expire, so that the readers of a hot key
    /// never wait for it.
    #[must_use]
    pub const fn renewed_early(self) -> Self {
        Self {
            renewed_early: true,
            ..self
        }
    }

    /// The same, and a value that has expired is served for at most this long while one reader loads
    /// its successor, or can't. Not for what revokes something.
    #[must_use]
    pub const fn stale_for(self, stale: Duration) -> Self {
        Self {
            stale,
            ..self.renewed_early()
        }
    }

    /// Whether its values say when they expire.
    pub(super) fn is_dated(&self) -> bool {
        self.renewed_early
    }

    /// How long after it was loaded a value may be served.
    pub(super) fn longest(&self) -> Duration {
        self.ttl + self.stale
    }
}

/// The most that [`is_due`] multiplies by: `-ln` of the smallest chance.
const MAX_FACTOR: i64 = 23;

/// Whether a value that expires in `left` milliseconds may have to be renewed now, so that it is worth
/// to draw a `chance` for [`is_due`].
pub(super) fn may_be_due(left: i64, load_time: u32) -> bool {
    left <= i64::from(load_time).saturating_mul(MAX_FACTOR)
}

/// Whether this reader renews a value that expires in `left` milliseconds and takes `load_time` to
/// load: certainly after it expired, before that the more probably the sooner it does and the longer
/// loading takes. Of many readers, some therefore do so before it expires, and of few probably none
/// (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015,
/// with β = 1).
pub(super) fn is_due(left: i64, load_time: u32, chance: [u8; 4]) -> bool {
    // Above 0, up to 1.
    let chance = (f64::from(u32::from_be_bytes(chance)) + 1.0) / (f64::from(u32::MAX) + 1.0);
    let ahead = Duration::from_millis(load_time.into()).mul_f64(-chance.ln());
    u64::try_from(left).map_or(true, |left| Duration::from_millis(left) <= ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The share of readers that renew a value with this much left.
    fn share(left: i64, load_time: u32) -> f64 {
        let random = Random::seeded(7);
        let due = (0..10_000).filter(|_| is_due(left, load_time, random.bytes()));
        f64::from(u32::try_from(due.count()).unwrap()) / 10_000.0
    }

    #[test]
    fn the_chance_to_renew_grows_as_the_end_comes_nearer() {
        // Of an exponential distribution: e^(-left / load_time).
        for (left, wanted) in [(10, 0.368), (20, 0.135), (50, 0.0067)] {
            let share = share(left, 10);
            assert!((share - wanted).abs() < 0.02, "{left}: {share}");
        }
        assert!((share(0, 10) - 1.0).abs() < f64::EPSILON);
        assert!((share(-1, 10) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_is_drawn_while_no_draw_would_decide_for_it() {
        for chance in [[0; 4], [0xff; 4]] {
            assert!(!may_be_due(231, 10) && !is_due(231, 10, chance));
        }
        assert!(may_be_due(221, 10) && is_due(221, 10, [0; 4]));
        assert!(!is_due(1, 10, [0xff; 4]));
    }

    #[test]
    fn a_stale_value_is_one_that_is_renewed_early() {
        let policy = CachePolicy::new("k", Duration::from_mins(1));
        assert!(!policy.is_dated() && policy.renewed_early().is_dated());
        let policy = policy.stale_for(Duration::from_mins(10));
        assert!(policy.is_dated());
        assert_eq!(policy.longest(), Duration::from_mins(11));
    }
}
