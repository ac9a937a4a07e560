//! When a delivery that failed is tried again.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use shared::{clock::Clock, random::Random};

/// The least time between two attempts.
const SHORTEST: Duration = Duration::from_secs(5);
/// The most. SQS hides a message for at most 12 hours from when it was received.
const LONGEST: Duration = Duration::from_hours(11);

/// How long deliveries are tried, and when.
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

    /// The pause before the next attempt of a delivery that has waited for `age`: as long as it has
    /// waited, so that pauses double, less up to a fifth at random; longer if the receiver asks for that.
    /// None when it is to be given up.
    pub fn pause(&self, age: Duration, asked: Option<Duration>) -> Option<Duration> {
        if self.is_last(age) {
            return None;
        }
        let [random] = self.random.bytes();
        let doubled = age.clamp(SHORTEST, LONGEST);
        let jittered = doubled.saturating_sub(doubled / 5 * u32::from(random) / 255);
        Some(
            jittered
                .max(asked.unwrap_or_default())
                .clamp(Duration::from_secs(1), LONGEST),
        )
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

    #[test]
    fn attempts_go_on_over_days_and_become_rare() {
        let schedule = schedule();
        let mut ages = vec![Duration::ZERO];
        while let Some(pause) = schedule.pause(*ages.last().unwrap(), None) {
            ages.push(*ages.last().unwrap() + pause);
        }
        assert!((15..30).contains(&ages.len()), "{ages:?}");
        assert!(ages[1] <= Duration::from_secs(5) && ages[1] >= Duration::from_secs(4));
        let in_the_first_hour = ages.iter().filter(|age| **age < Duration::from_hours(1));
        assert!((8..14).contains(&in_the_first_hour.count()), "{ages:?}");
        let last = ages.last().unwrap();
        assert!(*last >= DAYS && *last < DAYS + LONGEST, "{ages:?}");
    }

    #[test]
    fn a_receiver_is_not_called_before_it_asks_for() {
        let pause = |asked| schedule().pause(Duration::ZERO, Some(asked)).unwrap();
        assert_eq!(pause(Duration::from_secs(90)), Duration::from_secs(90));
        assert_eq!(pause(Duration::from_hours(100)), LONGEST);
        assert!(pause(Duration::ZERO) >= Duration::from_secs(4));
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
            let asked = asked.map(Duration::from_secs);
            let age = Duration::from_secs(age);
            let pause = schedule().pause(age, asked).unwrap();
            prop_assert!(pause <= LONGEST && pause >= Duration::from_secs(1));
            let least = age.clamp(SHORTEST, LONGEST) * 4 / 5;
            prop_assert!(pause >= least, "{pause:?} after {age:?}");
            let most = age.clamp(SHORTEST, LONGEST).max(asked.unwrap_or_default());
            prop_assert!(pause <= most.min(LONGEST));
        }
    }
}
