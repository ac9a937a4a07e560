//! Values: any JSON, kept as its author wrote it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The most bytes of a value, as it is written.
pub const MAX_VALUE: usize = 64 * 1024;

/// A JSON text. It is never rewritten, so numbers keep their digits and members their order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Box<RawValue>);

/// Why a text is not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// It is longer than [`MAX_VALUE`].
    TooLarge,
    /// Not every reader of JSON takes it: it is nested too deeply, or has a number that is out of
    /// range or half of a surrogate pair.
    Unreadable,
}

impl JsonText {
    /// A value that any client can read.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn check(text: Box<RawValue>) -> Result<Self, ValueError> {
        if text.get().len() > MAX_VALUE {
            return Err(ValueError::TooLarge);
        }
        // A raw value is checked for its grammar only.
        match serde_json::from_str::<serde_json::Value>(text.get()) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(ValueError::Unreadable),
        }
    }

    /// A value from a row.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn stored(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<JsonText, ValueError> {
        JsonText::check(RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_value_is_kept_as_it_was_written() {
        for text in [
            "null",
            "\"text\"",
            "{\"b\": 1.50, \"a\":12345678901234567890123}",
            "[\n  true\n]",
        ] {
            let value = check(text).unwrap();
            assert_eq!(value.as_str(), text);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }

    #[test]
    fn what_not_every_client_reads_is_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in [deep.as_str(), "1e999", "\"\\ud800\""] {
            assert_eq!(check(text).unwrap_err(), ValueError::Unreadable, "{text}");
        }
    }

    #[test]
    fn the_longest_value_has_64_kib() {
        let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(check(&text(MAX_VALUE)).is_ok());
        let error = check(&text(MAX_VALUE + 1)).unwrap_err();
        assert_eq!(error, ValueError::TooLarge);
    }
}
