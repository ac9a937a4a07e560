//! Fields of a body that may be left out.

use serde::{Deserialize, Deserializer};

/// A field that may be left out, but not be `null`: there is one way to name nothing. The only
/// fields with a meaning for `null` are those of a patch ([`Edit`](crate::values::Edit)), which it
/// clears. A test refuses bodies with fields of the type `Option`, which takes both.
///
/// To be used with `#[serde(default)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

/// Nothing, for every type.
impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(field: D) -> Result<Self, D::Error> {
        T::deserialize(field).map(|value| Self(Some(value)))
    }
}
