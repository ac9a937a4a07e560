//! When a delivery that failed is tried again.

use std::time::Duration;

use jiff::Timestamp;
use shared::random::Random;

use crate::retry_after::LONGEST_WAIT;

/// The least time between two attempts.
const SHORTEST: Duration = Duration::from_secs(5);
/// The most.
const LONGEST: Duration = Duration::from_hours(11);
/// The most where a receiver asks for so short a pause that it only takes no more at the moment.
const LONGEST_OF_LIMITED: Duration = Duration::from_mins(10);

/// How long deliveries are tried, and when. Cheap to clone.
#[derive(Clone)]
pub struct Schedule {
    /// From when the event was sent to the receiver's queue; then a delivery is given up.
    pub give_up_after: Duration,
    /// Jitters.
    pub random: Random,
}

impl Schedule {
    /// Whether a delivery that has waited for `age` is tried for the last time.
    pub fn is_last(&self, age: Duration) -> bool {
        age >= self.give_up_after
    }

    /// When a delivery that has waited since `queued_at` is tried again: after as long as it has waited,
    /// so that pauses double, less up to a fifth at random; later if the receiver asks for that, and after
    /// ten minutes at most if it asks for a short pause. The last attempt is at the end of the time for
    /// which deliveries are tried.
    pub fn next(&self, queued_at: Timestamp, now: Timestamp, asked: Option<Duration>) -> Timestamp {
        let age = Duration::try_from(now.duration_since(queued_at)).unwrap_or_default();
        let left = self.give_up_after.saturating_sub(age);
        let pause = self.pause(age, asked);
        let pause = if left.is_zero() {
            pause
        } else {
            pause.min(left)
        };
        now.checked_add(pause).unwrap_or(Timestamp::MAX)
    }

    fn pause(&self, age: Duration, asked: Option<Duration>) -> Duration {
        let [random] = self.random.bytes();
        let is_limited = asked.is_some_and(|asked| asked <= LONGEST_WAIT);
        let longest = if is_limited {
            LONGEST_OF_LIMITED
        } else {
            LONGEST
        };
        let doubled = age.clamp(SHORTEST, longest);
        let jittered = doubled.saturating_sub(doubled / 5 * u32::from(random) / 255);
        jittered.max(asked.unwrap_or_default()).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAYS: Duration = Duration::from_hours(72);

    fn schedule() -> Schedule {
        Schedule {
            give_up_after: DAYS,
            random: Random::seeded(1),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap()
    }

    /// The pause before the next attempt of a delivery that has waited for so long.
    fn pause(age: u64, asked: Option<Duration>) -> Duration {
        let next = schedule().next(at(0), at(age), asked);
        next.duration_since(at(age)).unsigned_abs()
    }

    #[test]
    fn attempts_go_on_over_days_and_become_rare() {
        let schedule = schedule();
        let mut times = vec![at(0)];
        while !schedule.is_last(times.last().unwrap().duration_since(at(0)).unsigned_abs()) {
            times.push(schedule.next(at(0), *times.last().unwrap(), None));
        }
        assert!((15..30).contains(&times.len()), "{times:?}");
        assert!(times[1] <= at(5) && times[1] >= at(4));
        let in_the_first_hour = times.iter().filter(|time| **time < at(3600));
        assert!((8..14).contains(&in_the_first_hour.count()), "{times:?}");
        assert_eq!(*times.last().unwrap(), at(DAYS.as_secs()));
    }

    #[test]
    fn a_receiver_is_not_called_before_it_asks_for() {
        let asks = |seconds| pause(0, Some(Duration::from_secs(seconds)));
        assert_eq!(asks(90), Duration::from_secs(90));
        assert_eq!(asks(100 * 3600), LONGEST);
        assert!(asks(0) >= Duration::from_secs(4));
    }

    #[test]
    fn what_was_one_too_many_for_a_receiver_comes_again_soon() {
        let short = Some(LONGEST_WAIT);
        for (age, least, most) in [(0, 10, 10), (60, 48, 60), (4 * 3600, 480, 600)] {
            let found = pause(age, short).as_secs();
            assert!((least..=most).contains(&found), "{age}: {found}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(age in 0u64..72 * 3600, asked in proptest::option::of(any::<u64>())) {
            let pause = pause(age, asked.map(Duration::from_secs));
            let left = DAYS.saturating_sub(Duration::from_secs(age));
            prop_assert!(pause <= LONGEST && pause <= left);
            let is_limited = asked.is_some_and(|asked| asked <= LONGEST_WAIT.as_secs());
            let longest = if is_limited { LONGEST_OF_LIMITED } else { LONGEST };
            let age = Duration::from_secs(age).clamp(SHORTEST, longest);
            prop_assert!(pause >= (age * 4 / 5).min(left), "{pause:?} after {age:?}");
        }
    }
}
