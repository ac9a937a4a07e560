//! What names a message.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ids::UserId;

/// The id of a message: 32 hexadecimal digits, the same for the same user and idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MessageId(String);

/// What a caller names a request with, so that its repetition is recognised: 8 to 64 ASCII letters,
/// digits, `_`, `-`, `.` and `:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// A text that is not the id of a message, or no idempotency key.
#[derive(Debug, Error)]
#[error("not a well-formed {0}")]
pub struct Malformed(&'static str);

impl MessageId {
    /// The id of the message that this key names.
    #[must_use]
    pub fn of(user: UserId, key: &IdempotencyKey) -> Self {
        let digest = Sha256::digest(format!("{user}#{key}"));
        Self(hex::encode(&digest[..16]))
    }
}

impl TryFrom<String> for MessageId {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == 32 && text.bytes().all(is_digit);
        is_id.then_some(Self(text)).ok_or(Malformed("message id"))
    }
}

impl FromStr for MessageId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl IdempotencyKey {
    /// The least characters.
    pub const MIN_LENGTH: usize = 8;
    /// The most characters.
    pub const MAX_LENGTH: usize = 64;
}

impl FromStr for IdempotencyKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        let fits = (Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&text.len());
        let is_key = fits && text.bytes().all(is_part);
        let key = is_key.then(|| Self(text.to_owned()));
        key.ok_or(Malformed("idempotency key"))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(last: char) -> UserId {
        let id = format!("0193c0de-0000-7000-8000-00000000000{last}");
        id.parse().unwrap()
    }

    #[test]
    fn the_id_depends_on_the_user_and_the_key() {
        let key = |text: &str| text.parse().unwrap();
        let id = MessageId::of(user('1'), &key("order-1:paid"));
        assert_eq!(id, MessageId::of(user('1'), &key("order-1:paid")));
        assert_ne!(id, MessageId::of(user('2'), &key("order-1:paid")));
        assert_ne!(id, MessageId::of(user('1'), &key("order-2:paid")));
        assert_eq!(id.to_string().parse::<MessageId>().unwrap(), id);
    }

    #[test]
    fn an_id_is_32_hexadecimal_digits() {
        for bad in ["", "0", &"A".repeat(32), &"0".repeat(33), &"g".repeat(32)] {
            assert!(bad.parse::<MessageId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_has_8_to_64_characters_that_can_stand_in_the_key_of_a_row() {
        for good in ["12345678", "a.b:c-d_", &"x".repeat(64)] {
            assert!(good.parse::<IdempotencyKey>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "1234567",
            "1234 678",
            "1234#678",
            "1234567é",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<IdempotencyKey>().is_err(), "{bad}");
        }
    }
}
