//! Identifiers, parsed once at the edge: a value of these types is well-formed.

use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

/// The text is not an id of the expected type.
#[derive(Debug, Error)]
#[error("not a well-formed {0}")]
pub struct InvalidId(&'static str);

/// The most characters of WeChat's ids.
const MAX_WECHAT_ID: usize = 64;

/// WeChat's ids are short and have these characters only; others could break the keys built from
/// them.
fn is_wechat_id(text: &str) -> bool {
    (1..=MAX_WECHAT_ID).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Reads an id from a string, without a copy that is thrown away.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = InvalidId>> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! wechat_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters.
            pub const MAX_LENGTH: usize = MAX_WECHAT_ID;

            /// The id as WeChat writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_wechat_id(text) { Ok(Self(text.into())) } else { Err(InvalidId(stringify!($name))) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

wechat_id!(
    /// A mini-program; WeChat assigns `wx` and 16 hexadecimal digits.
    AppId
);
wechat_id!(
    /// A WeChat user within one mini-program.
    OpenId
);
wechat_id!(
    /// A WeChat user across the mini-programs of one WeChat open-platform account.
    UnionId
);
wechat_id!(
    /// A template of subscribe messages, which belongs to one mini-program.
    TemplateId
);

/// A document that users agree to, such as `privacy`: a lower-case letter, then at most 31 lower-case
/// letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(Arc<str>);

impl DocumentId {
    /// The most characters.
    pub const MAX_LENGTH: usize = 32;

    /// The id as it is configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Other characters could break the keys and expressions built from it.
fn is_document_id(text: &str) -> bool {
    let is_other = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    text.len() <= DocumentId::MAX_LENGTH
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(is_other)
}

impl FromStr for DocumentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_document_id(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId("DocumentId"))
        }
    }
}

impl Serialize for DocumentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DocumentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts the hyphenated form only, so that an id has one spelling.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let id = Uuid::try_parse(text).map_err(|_| InvalidId(stringify!($name)))?;
                let mut canonical = Uuid::encode_buffer();
                if *id.hyphenated().encode_lower(&mut canonical) == *text {
                    Ok(Self(id))
                } else {
                    Err(InvalidId(stringify!($name)))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One of our users, a UUIDv7.
    UserId
);
uuid_id!(
    /// One login of a user, a UUIDv7.
    SessionId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_forge_a_key_is_rejected() {
        for bad in ["", "a#b", "a b", "a:b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<AppId>().is_err(), "{bad:?}");
        }
        assert!("wx4f4bc4dec97d474b".parse::<AppId>().is_ok());
    }

    #[test]
    fn a_document_id_is_a_short_word() {
        let longest = format!("a{}", "1".repeat(31));
        for good in ["a", "privacy", "terms-of_use2", &longest] {
            assert_eq!(good.parse::<DocumentId>().unwrap().as_str(), good);
        }
        let too_long = format!("{longest}1");
        for bad in [
            "", "1a", "-a", "_a", "Privacy", "a b", "a#b", "a:1", "a,b", "é", &too_long,
        ] {
            assert!(bad.parse::<DocumentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_user_id_has_one_spelling() {
        let id = "0193c0de-0000-7000-8000-00000000abcd";
        assert_eq!(id.parse::<UserId>().unwrap().to_string(), id);
        assert!(id.to_uppercase().parse::<UserId>().is_err());
        assert!(id.replace('-', "").parse::<UserId>().is_err());
    }
}
