//! The names of values.

use std::{fmt, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Rule, Violation},
    users::rows::{REMOTE_CONFIG, config_cache_key},
};

/// The most characters of a key.
const MAX_LENGTH: usize = 64;

/// `[a-z0-9][a-z0-9._-]{0,63}`: a key can break neither a row's nor a cached value's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigKey(String);

#[cfg(feature = "openapi")]
impl schemars::JsonSchema for ConfigKey {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConfigKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": MAX_LENGTH,
            "pattern": "^[a-z0-9][a-z0-9._-]*$",
            "examples": ["home.banner"],
        })
    }
}

/// The text is not a key.
#[derive(Debug, thiserror::Error)]
#[error("not a key of remote configuration")]
pub struct InvalidKey;

impl ConfigKey {
    /// The partition key of its row.
    pub fn pk(&self) -> String {
        REMOTE_CONFIG.pk(self)
    }

    /// Where its value is cached.
    pub fn cache_key(&self) -> String {
        config_cache_key(&self.0)
    }
}

impl FromStr for ConfigKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = |byte: &u8| is_word(byte) || b"._-".contains(byte);
        let bytes = text.as_bytes();
        let is_key = bytes.len() <= MAX_LENGTH
            && bytes.first().is_some_and(is_word)
            && bytes.iter().all(fits);
        is_key.then(|| Self(text.to_owned())).ok_or(InvalidKey)
    }
}

impl TryFrom<String> for ConfigKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<ConfigKey> for String {
    fn from(ConfigKey(text): ConfigKey) -> Self {
        text
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key that a path names, to be checked after its caller: one who is not let in learns nothing of
/// keys, and one who is pays for asking.
pub struct PathKey(Option<ConfigKey>);

impl PathKey {
    /// The key.
    ///
    /// # Errors
    /// That the path names none.
    pub fn check(self) -> Result<ConfigKey, ApiError> {
        let violation = || Violation::new("key", Rule::ConfigKey);
        self.0.ok_or_else(|| ApiError::invalid(vec![violation()]))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // A path that is not UTF-8 has no key either.
        let path = Path::<String>::from_request_parts(parts, state).await;
        let key = path.ok().and_then(|Path(text)| text.parse().ok());
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_lower_case_words() {
        let longest = "a".repeat(64);
        for key in ["a", "0", "home.banner", "v2-texts_zh", longest.as_str()] {
            assert_eq!(key.parse::<ConfigKey>().unwrap().to_string(), key);
        }
        let too_long = "a".repeat(65);
        for text in [
            "",
            ".a",
            "-a",
            "_a",
            "A",
            "aB",
            "a b",
            "a/b",
            "a#b",
            "a}b",
            "a\n",
            "é",
            "配置",
            too_long.as_str(),
        ] {
            assert!(text.parse::<ConfigKey>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rows_and_cached_values_are_as_documented() {
        let key: ConfigKey = "home.banner".parse().unwrap();
        assert_eq!(key.pk(), "CONFIG#home.banner");
        assert_eq!(key.cache_key(), "{config:home.banner}");
    }
}
