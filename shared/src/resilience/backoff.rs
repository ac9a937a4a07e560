//! Pauses between attempts: each may be twice as long as the one before it, and each is shortened
//! at random (jitter), so that callers which failed together do not come back together
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use crate::{random::Random, request::deadline};

/// How much of a pause is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jitter {
    /// Anywhere from nothing to the whole pause.
    Full,
    /// Anywhere from half of the pause to the whole.
    Half,
}

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: Jitter,
}

impl Backoff {
    /// Full jitter: for an upstream that is overloaded or failing. It spreads callers the most, and
    /// an immediate attempt costs the upstream no more than a later one.
    ///
    /// `first` is the limit of the first pause; the limit doubles with each later one, up to
    /// `longest`.
    #[must_use]
    pub const fn for_overload(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            jitter: Jitter::Full,
        }
    }

    /// Half jitter: for writers that raced for the same rows. The faster one needs time to finish,
    /// so a pause close to zero would waste one of the few attempts; the random half keeps writers
    /// that raced once from racing again.
    ///
    /// `first` is the limit of the first pause; the limit doubles with each later one, up to
    /// `longest`.
    #[must_use]
    pub const fn for_conflicts(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            jitter: Jitter::Half,
        }
    }

    /// The pauses of one call, in order. They end when the request's deadline leaves no time for an
    /// attempt after the next pause; the caller limits the number of attempts (`take`).
    pub fn pauses(self, random: &Random) -> impl Iterator<Item = Duration> {
        let ceilings =
            std::iter::successors(Some(self.first), |pause| Some(pause.saturating_mul(2)));
        ceilings
            .map(move |ceiling| self.jittered(ceiling.min(self.longest), random))
            .take_while(|pause| deadline::remaining().is_none_or(|left| *pause < left))
    }

    fn jittered(self, ceiling: Duration, random: &Random) -> Duration {
        let share = f64::from(u32::from_le_bytes(random.bytes())) / f64::from(u32::MAX);
        match self.jitter {
            Jitter::Full => ceiling.mul_f64(share),
            Jitter::Half => ceiling.mul_f64(0.5 + share / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::{Instant, advance};

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_begin_with_the_first_and_double_up_to_the_longest() {
        let backoff = Backoff::for_conflicts(10 * MILLISECOND, 35 * MILLISECOND);
        for seed in 0..100 {
            let random = Random::seeded(seed);
            let pauses = backoff.pauses(&random).take(5);
            for (pause, ceiling) in pauses.zip([10, 20, 35, 35, 35]) {
                let ceiling = ceiling * MILLISECOND;
                assert!(pause >= ceiling / 2 && pause <= ceiling, "{pause:?}");
            }
        }
    }

    #[test]
    fn full_jitter_reaches_below_half_of_a_pause() {
        let backoff = Backoff::for_overload(100 * MILLISECOND, 100 * MILLISECOND);
        let random = Random::seeded(1);
        let pauses: Vec<_> = backoff.pauses(&random).take(100).collect();
        assert!(pauses.iter().any(|pause| *pause < 20 * MILLISECOND));
        assert!(pauses.iter().any(|pause| *pause > 80 * MILLISECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_end_before_one_that_would_outlast_the_request() {
        let backoff = Backoff::for_conflicts(10 * MILLISECOND, 10 * MILLISECOND);
        let random = Random::seeded(1);
        let end = Instant::now() + 25 * MILLISECOND;
        deadline::scope(Some(end), async {
            let mut pauses = backoff.pauses(&random);
            assert!(pauses.next().is_some());
            advance(20 * MILLISECOND).await;
            assert_eq!(pauses.next(), None);
        })
        .await;
        assert!(backoff.pauses(&random).next().is_some(), "no deadline");
    }

    proptest! {
        #[test]
        fn pauses_stay_within_their_limits(
            seed: u64,
            first_ms in 0_u32..10_000,
            longest_ms in 0_u32..10_000,
            overload: bool,
        ) {
            let (first, longest) = (first_ms * MILLISECOND, longest_ms * MILLISECOND);
            let backoff = if overload {
                Backoff::for_overload(first, longest)
            } else {
                Backoff::for_conflicts(first, longest)
            };
            let random = Random::seeded(seed);
            // More doublings than fit into a number: none may overflow.
            for (number, pause) in (0_u32..100).zip(backoff.pauses(&random)) {
                let doubled = first.saturating_mul(1_u32.checked_shl(number).unwrap_or(u32::MAX));
                let ceiling = doubled.min(longest);
                prop_assert!(pause <= ceiling, "{pause:?} > {ceiling:?}");
                prop_assert!(overload || pause >= ceiling / 2, "{pause:?} < {ceiling:?} / 2");
            }
        }
    }
}
