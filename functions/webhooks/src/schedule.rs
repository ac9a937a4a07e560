//! When a delivery that failed is tried again.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use shared::{clock::Clock, random::Random};

/// The least time between two attempts.
const SHORTEST: Duration = Duration::from_secs(5);
/// The most.
const LONGEST: Duration = Duration::from_hours(11);

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
    /// so that pauses double, less up to a fifth at random; later if the receiver asks for that. The last
    /// attempt is at the end of the time for which deliveries are tried.
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
        let doubled = age.clamp(SHORTEST, LONGEST);
        let jittered = doubled.saturating_sub(doubled / 5 * u32::from(random) / 255);
        jittered.max(asked.unwrap_or_default()).min(LONGEST)
    }
}

/// The pause that a `Retry-After` asks for: seconds, or a date (RFC 9110 §10.2.3).
pub fn retry_after(value: &str, clock: &Clock) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let left = date.duration_since(clock.now());
    Some(Duration::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::clock::ManualClock;

    use super::*;

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
    fn a_retry_after_is_a_number_or_a_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        let clock = Clock::Manual(ManualClock::new(now));
        let seconds = |value| retry_after(value, &clock).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds(age in 0u64..72 * 3600, asked in proptest::option::of(any::<u64>())) {
            let pause = pause(age, asked.map(Duration::from_secs));
            let left = DAYS.saturating_sub(Duration::from_secs(age));
            prop_assert!(pause <= LONGEST && pause <= left);
            let age = Duration::from_secs(age).clamp(SHORTEST, LONGEST);
            prop_assert!(pause >= (age * 4 / 5).min(left), "{pause:?} after {age:?}");
        }
    }
}
