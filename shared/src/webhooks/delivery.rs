//! What is stored of a delivery.

use std::{fmt, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::dynamo::{self, Item};

/// In place of a receiver: all. No receiver can be called so.
pub(super) const ALL_RECEIVERS: &str = "*";

/// The id of a delivery: 32 hexadecimal digits, the same for the same event and receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct DeliveryId(String);

/// A text that is not the id of a delivery.
#[derive(Debug, Error)]
#[error("not the id of a delivery")]
pub struct InvalidDeliveryId;

impl DeliveryId {
    pub(super) fn of(event: &str, receiver: &str) -> Self {
        let digest = Sha256::digest(format!("{event}#{receiver}"));
        Self(hex::encode(&digest[..16]))
    }

    /// As the index has it.
    pub(super) fn in_row(row: Item) -> Result<Self, dynamo::DynamoError> {
        #[derive(Deserialize)]
        struct Row {
            id: DeliveryId,
        }
        Ok(dynamo::from_item::<Row>(row)?.id)
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;

    fn from_str(text: &str) -> Result<Self, InvalidDeliveryId> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = InvalidDeliveryId;

    fn try_from(text: String) -> Result<Self, InvalidDeliveryId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == 32 && text.bytes().all(is_digit);
        is_id.then_some(Self(text)).ok_or(InvalidDeliveryId)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sort key in the index: by time, then by id.
pub(super) fn place(time: Timestamp, id: &DeliveryId) -> String {
    format!("{time:.3}#{id}")
}

/// The attributes by which the index finds a row, and when it expires (seconds since the epoch).
pub(super) fn index_attributes(
    partition: impl Into<String>,
    place: String,
    ttl: i64,
) -> [(String, AttributeValue); 3] {
    [
        ("gsi1pk".into(), dynamo::string(partition)),
        ("gsi1sk".into(), dynamo::string(place)),
        ("ttl".into(), dynamo::number(ttl)),
    ]
}
