//! Rows as DynamoDB has them, and as types.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use super::DynamoError;

/// One row: its attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// The primary key of a row.
#[must_use]
pub fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

/// A string attribute.
#[must_use]
pub fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
#[must_use]
pub fn number(number: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// `row` as attributes under its key. What is `None` is left out.
///
/// # Errors
/// [`DynamoError::Refused`] when the type can't be a row.
pub fn to_item<T: Serialize>(pk: &str, sk: &str, row: &T) -> Result<Item, DynamoError> {
    let mut item: Item = serde_dynamo::to_item(row).map_err(DynamoError::unreadable)?;
    item.retain(|_, value| !value.is_null());
    item.extend(key(pk, sk));
    Ok(item)
}

/// The attributes of a row as a type.
///
/// # Errors
/// [`DynamoError::Refused`] when they are not what is written there.
pub fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, DynamoError> {
    serde_dynamo::from_item(item).map_err(DynamoError::unreadable)
}
