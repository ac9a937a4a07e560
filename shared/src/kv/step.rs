//! One step of a state machine whose state all instances share: a Lua script in Redis, and the same
//! in Rust where the state is in this process's memory. One property test drives both and demands
//! the same answers and the same state.

use std::time::Duration;

use bytes::Bytes;

/// Microseconds since the epoch. In Redis it is the server's `TIME`, so that no caller's clock
/// decides anything.
pub type Micros = i64;

/// What a script starts with. Whole numbers up to 2^53 are exact in Lua, and this one stays below
/// that for 230 years.
const NOW: &str = "local clock = redis.call('TIME')\nlocal now = clock[1] * 1000000 + clock[2]\n";

/// A Lua script: it finds `now` ([`Micros`]), `KEYS` and `ARGV` (all whole numbers), and returns
/// whole numbers.
pub struct Script {
    source: String,
    /// By which the server knows it (`EVALSHA`).
    hash: String,
}

impl Script {
    /// A script whose `now` is the server's time.
    #[must_use]
    pub fn new(body: &str) -> Self {
        Self::timeless(format!("{NOW}{body}"))
    }

    /// A script without a `now`.
    pub(super) fn timeless(source: String) -> Self {
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

/// A step. It may be taken twice when an answer was lost: it must be harmless then.
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

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What becomes of each key.
    pub writes: Vec<Write>,
    /// What the script returns.
    pub reply: Vec<i64>,
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It stays as it is.
    Keep,
    /// It holds this value for this long.
    Put(Bytes, Duration),
    /// It is gone.
    Delete,
}

/// The largest number that Lua, whose numbers are doubles, holds exactly along with all below it.
pub const MAX_WHOLE: i64 = (1 << 53) - 1;

/// The whole number that a stored text is: decimal digits only, at most [`MAX_WHOLE`]. The scripts
/// read numbers by the same rule.
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
    fn a_whole_number_is_digits_that_a_double_holds() {
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
