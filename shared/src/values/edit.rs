//! A change of one field.

use serde::{Deserialize, Deserializer};

/// What to do with a field: a JSON merge patch (RFC 7396) keeps fields that it omits and clears
/// those that are `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Keep the value.
    #[default]
    Keep,
    /// Remove the value.
    Clear,
    /// Write this value.
    Set(T),
}

impl<T> Edit<T> {
    /// Converts the value.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Edit<U> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Clear => Edit::Clear,
            Self::Set(value) => Edit::Set(form(value)),
        }
    }

    /// The same for a borrowed value.
    pub fn as_ref(&self) -> Edit<&T> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Clear => Edit::Clear,
            Self::Set(value) => Edit::Set(value),
        }
    }
}

/// To be used with `#[serde(default)]`, which makes a missing field `Keep`.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(field)?.map_or(Self::Clear, Self::Set))
    }
}
