//! When a message that was not sent is tried again.

use std::time::Duration;

use jiff::{Timestamp, tz::Offset};
use shared::random::Random;

/// The shortest pause that doubles.
const SHORTEST: Duration = Duration::from_mins(1);
/// The longest.
const LONGEST: Duration = Duration::from_hours(1);
/// The clock by which WeChat's quotas of a day are taken to begin anew: WeChat does not document when they
/// do. It is not moved in summer.
const SHANGHAI: Offset = Offset::constant(8);
/// A message that waits for such a quota is tried between once and twice this time after midnight.
const AFTER_MIDNIGHT: Duration = Duration::from_mins(10);

/// How long a message waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// As long as it has waited, so that pauses double: from a minute to an hour.
    Doubling,
    /// The same, and at least this long.
    AtLeast(Duration),
    /// Until the next day has begun in Shanghai.
    UntilTomorrow,
}

/// When a message is due again that was ordered at `ordered_at`. Pauses are up to a fifth shorter at
/// random, or longer where they have a least length.
pub fn next(pause: Pause, ordered_at: Timestamp, now: Timestamp, random: &Random) -> Timestamp {
    let age = Duration::try_from(now.duration_since(ordered_at)).unwrap_or_default();
    let doubled = age.clamp(SHORTEST, LONGEST);
    let shorter = doubled.saturating_sub(part(doubled / 5, random));
    let pause = match pause {
        Pause::Doubling => shorter,
        Pause::AtLeast(least) => shorter.max(least.saturating_add(part(least / 5, random))),
        Pause::UntilTomorrow => until_midnight(now) + AFTER_MIDNIGHT + part(AFTER_MIDNIGHT, random),
    };
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Up to `whole`, at random.
fn part(whole: Duration, random: &Random) -> Duration {
    let [random] = random.bytes();
    whole * u32::from(random) / 255
}

/// From `now` to the next midnight in Shanghai.
fn until_midnight(now: Timestamp) -> Duration {
    const DAY: i64 = 24 * 3600;
    let there = now.as_second() + i64::from(SHANGHAI.seconds());
    let left = DAY - there.rem_euclid(DAY);
    Duration::from_secs(u64::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// How long a message waits that was ordered this long ago.
    fn wait(pause: Pause, age: Duration) -> Duration {
        let now = at("2026-11-23T08:00:00Z");
        let ordered_at = now.checked_sub(age).unwrap();
        let next = next(pause, ordered_at, now, &Random::seeded(1));
        next.duration_since(now).unsigned_abs()
    }

    #[test]
    fn pauses_double_from_a_minute_to_an_hour() {
        for (age, minutes) in [(0, 1), (1, 1), (2, 2), (30, 30), (60, 60), (1400, 60)] {
            let whole = Duration::from_mins(minutes);
            let found = wait(Pause::Doubling, Duration::from_mins(age));
            assert!(found <= whole && found >= whole * 4 / 5, "{age}: {found:?}");
        }
    }

    #[test]
    fn a_message_waits_as_long_as_it_has_to() {
        let least = Duration::from_mins(10);
        let found = wait(Pause::AtLeast(least), Duration::ZERO);
        assert!(found >= least && found <= least * 6 / 5, "{found:?}");
        assert!(wait(Pause::AtLeast(least), Duration::from_hours(2)) >= Duration::from_mins(48));
    }

    #[test]
    fn a_quota_of_the_day_is_waited_for_until_after_midnight_in_shanghai() {
        for (now, midnight) in [
            ("2026-11-23T08:00:00Z", "2026-11-23T16:00:00Z"),
            ("2026-11-23T15:59:59Z", "2026-11-23T16:00:00Z"),
            ("2026-11-23T16:00:00Z", "2026-11-24T16:00:00Z"),
        ] {
            let found = next(Pause::UntilTomorrow, at(now), at(now), &Random::seeded(1));
            let past = found.duration_since(at(midnight));
            let past = Duration::try_from(past).unwrap();
            let is_after = past >= AFTER_MIDNIGHT && past <= 2 * AFTER_MIDNIGHT;
            assert!(is_after, "{now}: {past:?}");
        }
    }

    proptest! {
        #[test]
        fn a_next_attempt_is_always_later(age in 0i64..4_000_000_000, seconds in 0i64..4_000_000_000) {
            let now = Timestamp::from_second(seconds).unwrap();
            let ordered_at = Timestamp::from_second(seconds - age).unwrap();
            for pause in [Pause::Doubling, Pause::AtLeast(Duration::ZERO), Pause::UntilTomorrow] {
                prop_assert!(next(pause, ordered_at, now, &Random::System) > now);
            }
        }
    }
}
