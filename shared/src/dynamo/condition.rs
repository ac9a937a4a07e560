//! Conditions of writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::string;
use crate::ids::UserId;

/// Attribute values by the placeholder that stands for them.
pub(super) type Values = HashMap<String, AttributeValue>;
/// Attribute names by the placeholder that stands for them.
pub(super) type Names = HashMap<String, String>;

/// The condition under which a row is written.
#[derive(Clone)]
pub struct Condition {
    pub(super) expression: String,
    pub(super) values: Values,
    pub(super) names: Names,
}

impl Condition {
    /// A condition expression of DynamoDB; its values are added with [`Condition::value`].
    #[must_use]
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            values: Values::new(),
            names: Names::new(),
        }
    }

    /// The row does not exist.
    #[must_use]
    pub fn absent() -> Self {
        Self::new("attribute_not_exists(pk)")
    }

    /// The row exists.
    #[must_use]
    pub fn exists() -> Self {
        Self::new("attribute_exists(pk)")
    }

    /// The row exists and belongs to `user`.
    #[must_use]
    pub fn owned_by(user: UserId) -> Self {
        Self::new("uid = :uid").value(":uid", string(user.to_string()))
    }

    /// The row belongs to `user` or does not exist: a put takes nothing from another user, and a
    /// delete can be repeated.
    #[must_use]
    pub fn absent_or_owned_by(user: UserId) -> Self {
        Self::new("attribute_not_exists(pk) OR uid = :uid").value(":uid", string(user.to_string()))
    }

    /// The row exists and belongs to somebody else.
    #[must_use]
    pub fn owned_by_another(user: UserId) -> Self {
        Self::new("attribute_exists(pk) AND uid <> :uid").value(":uid", string(user.to_string()))
    }

    /// Sets the value of `placeholder` (`:name`).
    #[must_use]
    pub fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    /// Sets the attribute name of `placeholder` (`#name`).
    #[must_use]
    pub fn name(mut self, placeholder: &str, attribute: &str) -> Self {
        self.names
            .insert(placeholder.to_owned(), attribute.to_owned());
        self
    }
}
