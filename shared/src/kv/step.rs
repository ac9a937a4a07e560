//! One step of a state machine whose state all instances share: a Lua script for Redis, and the
//! same machine in Rust for this process's memory. Property tests run both and compare their
//! replies and states.

use std::time::Duration;

use bytes::Bytes;

/// Microseconds since the epoch. In Redis it is the server's `TIME`, so that no caller's clock
/// decides anything.
pub type Micros = i64;

/// The preamble of a script. Lua represents whole numbers up to 2^53 exactly; microseconds since
/// the epoch stay below that until the year 2255.
const NOW: &str = "local clock = redis.call('TIME')\nlocal now = clock[1] * 1000000 + clock[2]\n";

/// A Lua script. Its inputs are `now` ([`Micros`]), `KEYS` and `ARGV` (whole numbers); it returns
/// whole numbers.
pub struct Script {
    source: String,
    /// The server caches the script under this hash (`EVALSHA`).
    hash: String,
}

impl Script {
    /// A script whose `now` is the server's time.
    #[must_use]
    pub fn new(body: &str) -> Self {
        Self::timeless(format!("{NOW}{body}"))
    }

    /// A script without `now`, which costs the server less.
    #[must_use]
    pub fn timeless(source: String) -> Self {
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self { source, hash }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// A step. It may run twice when a reply was lost, and has to be harmless then.
pub trait Step: Send + Sync {
    /// The script.
    fn script(&self) -> &'static Script;

    /// Its `KEYS`: with one hash tag, so that they share a cluster slot.
    fn keys(&self) -> &[String];

    /// Its `ARGV`.
    fn arguments(&self) -> Vec<i64>;

    /// What the script does, in Rust: `values` are those of [`Self::keys`], in their order.
    fn apply(&self, now: Micros, values: &[Option<Bytes>]) -> Applied;
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What to write to each key.
    pub writes: Vec<Write>,
    /// What the script returns.
    pub reply: Vec<i64>,
}

/// What to write to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Leaves it as it is.
    Keep,
    /// Stores this value, which expires after this time.
    Put(Bytes, Duration),
    /// Removes it.
    Delete,
}

/// The largest number up to which Lua, whose numbers are doubles, represents every whole number
/// exactly.
pub const MAX_WHOLE: i64 = (1 << 53) - 1;

/// Parses a stored whole number: decimal digits only, at most [`MAX_WHOLE`]. The scripts parse
/// numbers by the same rule.
#[must_use]
pub fn whole_number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 16 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = text
        .iter()
        .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    (number <= MAX_WHOLE).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_within_the_exact_range_of_a_double_are_a_whole_number() {
        assert_eq!(whole_number(b"0012"), Some(12));
        assert_eq!(whole_number(b"9007199254740991"), Some(MAX_WHOLE));
        for bad in [
            "",
            "9007199254740992",
            "9999999999999999",
            "00000000000000001",
            "-1",
            "1e3",
            "0x1",
            "1.0",
            " 1",
            "\u{661}",
        ] {
            assert_eq!(whole_number(bad.as_bytes()), None, "{bad}");
        }
    }
}
