//! Pauses that a receiver asks for with `Retry-After`.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use shared::{clock::Clock, request, webhooks::ReceiverPauses};

/// The longest pause that an invocation waits for before it calls the receiver again.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The pause that a header asks for: seconds, or a date (RFC 9110 §10.2.3).
pub fn parse(value: &str, clock: &Clock) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    let left = date.duration_since(clock.now());
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Has all instances leave a receiver alone that asks for a pause which is too long to be waited for, after
/// it failed for this reason. The delivery is safe without that, so a failure of the table's is only logged.
pub async fn keep(pauses: &ReceiverPauses, receiver: &str, asked: Option<Duration>, reason: &str) {
    let Some(asked) = asked.filter(|asked| *asked > LONGEST_WAIT) else {
        return;
    };
    match pauses.begin(receiver, asked).await {
        Ok(Some(until)) => tracing::warn!(
            request_id = request::id(), receiver, reason, %until,
            "a receiver asks for a pause"
        ),
        Ok(None) => {}
        Err(error) => {
            let why = error.to_string();
            let message = "the pause of a receiver can't be kept";
            tracing::error!(request_id = request::id(), receiver, why, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    #[test]
    fn a_retry_after_is_a_number_or_a_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        let clock = Clock::Manual(ManualClock::new(now));
        let seconds = |value| parse(value, &clock).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
