//! Deliveries that were given up: rows `WEBHOOK#{id}` / `FAILURE`, listed by the index.

use std::{fmt, str::FromStr, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Event;
use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item},
    users::rows::WEBHOOK_FAILURE,
};

/// The index.
const INDEX: &str = "gsi1";
/// The partition of it in which they are, by the time when they were given up.
const PARTITION: &str = "WEBHOOK_FAILURES";
/// Rows that are read at the same time.
const CONCURRENCY: usize = 16;

/// The id of a delivery that was given up: 32 hexadecimal digits, the same for the same event and
/// receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct FailureId(String);

/// A text that is no id of a delivery.
#[derive(Debug, Error)]
#[error("not the id of a delivery")]
pub struct NotAFailureId;

impl FailureId {
    fn of(event: &str, receiver: &str) -> Self {
        let digest = Sha256::digest(format!("{event}#{receiver}"));
        Self(hex::encode(&digest[..16]))
    }
}

impl FromStr for FailureId {
    type Err = NotAFailureId;

    fn from_str(text: &str) -> Result<Self, NotAFailureId> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for FailureId {
    type Error = NotAFailureId;

    fn try_from(text: String) -> Result<Self, NotAFailureId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == 32 && text.bytes().all(is_digit);
        is_id.then_some(Self(text)).ok_or(NotAFailureId)
    }
}

impl fmt::Display for FailureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A delivery that was given up. `Debug` does not show the payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedDelivery {
    /// Its id.
    pub id: FailureId,
    /// The receiver.
    pub receiver: String,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// What the receiver did not get.
    payload: String,
    /// Why the last attempt failed, in a word or as a status.
    pub reason: String,
    /// When it was given up.
    pub failed_at: Timestamp,
}

impl fmt::Debug for FailedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedDelivery")
            .field("id", &self.id)
            .field("receiver", &self.receiver)
            .field("event_id", &self.event_id)
            .finish_non_exhaustive()
    }
}

impl FailedDelivery {
    pub(super) fn into_event(self) -> Event {
        Event {
            id: self.event_id,
            kind: self.event_type,
            payload: self.payload,
        }
    }
}

/// What the index says of one.
#[derive(Deserialize)]
struct Named {
    id: FailureId,
}

/// The deliveries that were given up. Cheap to clone.
#[derive(Clone)]
pub struct Failures {
    dynamo: Dynamo,
    clock: Clock,
    kept: Duration,
}

impl Failures {
    /// Rows in `dynamo`, which expire after `kept`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, kept: Duration) -> Self {
        Self {
            dynamo,
            clock,
            kept,
        }
    }

    /// Writes down that the delivery of `event` to `receiver` was given up. One that was given up before
    /// is replaced.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn record(
        &self,
        event: &Event,
        receiver: &str,
        reason: String,
    ) -> Result<(), DynamoError> {
        let failed = FailedDelivery {
            id: FailureId::of(&event.id, receiver),
            receiver: receiver.to_owned(),
            event_id: event.id.clone(),
            event_type: event.kind.clone(),
            payload: event.payload.clone(),
            reason,
            failed_at: self.clock.now(),
        };
        let anything = Condition::new("attribute_exists(pk) OR attribute_not_exists(pk)");
        self.dynamo
            .put(self.row(&failed)?, anything)
            .await
            .map(drop)
    }

    fn row(&self, failed: &FailedDelivery) -> Result<Item, DynamoError> {
        let kept = i64::try_from(self.kept.as_secs()).unwrap_or(i64::MAX);
        let ttl = failed.failed_at.as_second().saturating_add(kept);
        let place = format!("{:.3}#{}", failed.failed_at, failed.id);
        let mut row = dynamo::to_item(&WEBHOOK_FAILURE.pk(&failed.id), WEBHOOK_FAILURE.sk, failed)?;
        row.extend([
            ("ttl".into(), dynamo::number(ttl)),
            ("gsi1pk".into(), dynamo::string(PARTITION)),
            ("gsi1sk".into(), dynamo::string(place)),
        ]);
        Ok(row)
    }

    /// The newest, at most `limit`. The index only names them, a moment after they were written, and may
    /// name one that is gone.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn newest(&self, limit: u16) -> Result<Vec<FailedDelivery>, DynamoError> {
        let query = self
            .dynamo
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :pk")
            .expression_attribute_values(":pk", dynamo::string(PARTITION))
            .scan_index_forward(false)
            .limit(i32::from(limit));
        let page = self.dynamo.page(query).await?;
        let rows = page.items.unwrap_or_default().into_iter();
        let named: Result<Vec<Named>, _> = rows.map(dynamo::from_item).collect();
        let read = named?
            .into_iter()
            .map(|Named { id }| async move { self.get(&id).await });
        let found: Vec<_> = stream::iter(read)
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The one with this id, if there is one.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn get(&self, id: &FailureId) -> Result<Option<FailedDelivery>, DynamoError> {
        let pk = WEBHOOK_FAILURE.pk(id);
        let row = self.dynamo.get(&pk, WEBHOOK_FAILURE.sk).await?;
        row.map(dynamo::from_item).transpose()
    }

    /// Forgets one, as it was read: not if the delivery was given up again meanwhile.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn forget(&self, failed: &FailedDelivery) -> Result<(), DynamoError> {
        let key = dynamo::key(&WEBHOOK_FAILURE.pk(&failed.id), WEBHOOK_FAILURE.sk);
        let same = Condition::new("failedAt = :failedAt")
            .value(":failedAt", dynamo::string(failed.failed_at.to_string()));
        self.dynamo.delete(key, same).await.map(drop)
    }
}
