//! Conditions of writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::string;
use crate::ids::UserId;

/// Attribute values by the placeholder that stands for them.
pub(super) type Values = HashMap<String, AttributeValue>;

/// What a row has to be like for a write to it to happen.
pub struct Condition {
    pub(super) expression: String,
    pub(super) values: Values,
}

impl Condition {
    /// A condition in DynamoDB's own words, its values to be added by [`Condition::value`].
    #[must_use]
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            values: Values::new(),
        }
    }

    /// There is no such row.
    #[must_use]
    pub fn absent() -> Self {
        Self::new("attribute_not_exists(pk)")
    }

    /// There is such a row.
    #[must_use]
    pub fn exists() -> Self {
        Self::new("attribute_exists(pk)")
    }

    /// The row is there, and it is `user`'s.
    #[must_use]
    pub fn owned_by(user: UserId) -> Self {
        Self::new("uid = :uid").value(":uid", string(user.to_string()))
    }

    /// The row is `user`'s, or nobody's: a put under it takes nothing from anybody, and a delete
    /// under it can be repeated.
    #[must_use]
    pub fn absent_or_owned_by(user: UserId) -> Self {
        Self::new("attribute_not_exists(pk) OR uid = :uid").value(":uid", string(user.to_string()))
    }

    /// The value that `placeholder` (`:name`) stands for.
    #[must_use]
    pub fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }
}
