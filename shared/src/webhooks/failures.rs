//! Deliveries that were given up: rows `WEBHOOK#{id}` / `FAILURE`, listed by the index.

use std::{fmt, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    DeliveryId, Event,
    delivery::{index_attributes, place},
};
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

/// A delivery that was given up. `Debug` does not show the payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The receiver.
    pub receiver: String,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// What the receiver did not get, without the fields of a pushed message: they are personal, and this
    /// is kept for long.
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

/// A page of deliveries that were given up.
#[derive(Debug)]
pub struct FailurePage {
    /// The newest first.
    pub failures: Vec<FailedDelivery>,
    /// Where the next page begins; none on the last one.
    pub next: Option<FailurePosition>,
}

/// The last row of a page, as the index has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePosition {
    id: DeliveryId,
    place: String,
}

impl FailurePosition {
    fn of(key: &Item) -> Option<Self> {
        let place = key.get("gsi1sk")?.as_s().ok()?.clone();
        let (_, id) = place.rsplit_once('#')?;
        Some(Self {
            id: id.parse().ok()?,
            place,
        })
    }

    fn key(&self) -> Item {
        let mut key = dynamo::key(&WEBHOOK_FAILURE.pk(&self.id), WEBHOOK_FAILURE.sk);
        key.insert("gsi1pk".into(), dynamo::string(PARTITION));
        key.insert("gsi1sk".into(), dynamo::string(&self.place));
        key
    }
}

/// The deliveries that were given up. Cheap to clone.
#[derive(Clone)]
pub struct Failures {
    dynamo: Dynamo,
    clock: Clock,
    retention: Duration,
}

impl Failures {
    /// Rows in `dynamo`, which expire after `retention`.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, retention: Duration) -> Self {
        Self {
            dynamo,
            clock,
            retention,
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
        reason: &str,
    ) -> Result<(), DynamoError> {
        let failed = FailedDelivery {
            id: DeliveryId::of(&event.id, receiver),
            receiver: receiver.to_owned(),
            event_id: event.id.clone(),
            event_type: event.kind.clone(),
            payload: event.payload_without_fields(),
            reason: reason.to_owned(),
            failed_at: self.clock.now(),
        };
        let anything = Condition::new("attribute_exists(pk) OR attribute_not_exists(pk)");
        self.dynamo
            .put(self.row(&failed)?, anything)
            .await
            .map(drop)
    }

    fn row(&self, failed: &FailedDelivery) -> Result<Item, DynamoError> {
        let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        let ttl = failed.failed_at.as_second().saturating_add(retention);
        let mut row = dynamo::to_item(&WEBHOOK_FAILURE.pk(&failed.id), WEBHOOK_FAILURE.sk, failed)?;
        let place = place(failed.failed_at, &failed.id);
        row.extend(index_attributes(PARTITION, place, ttl));
        Ok(row)
    }

    /// At most `limit`, the newest first: from the newest on, or those behind `after`; of this receiver
    /// only, if one is named. The index knows of one a moment after it was written, and may name one
    /// that is gone: a page can be short, or empty, and not be the last one.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn page(
        &self,
        limit: usize,
        receiver: Option<&str>,
        after: Option<&FailurePosition>,
    ) -> Result<FailurePage, DynamoError> {
        let query = self
            .dynamo
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :pk")
            .expression_attribute_values(":pk", dynamo::string(PARTITION))
            .scan_index_forward(false)
            .set_exclusive_start_key(after.map(FailurePosition::key))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = self.dynamo.page(query).await?;
        let last = page.last_evaluated_key.as_ref();
        let next = last.and_then(FailurePosition::of);
        let rows = page.items.unwrap_or_default().into_iter();
        let ids: Result<Vec<_>, _> = rows.map(DeliveryId::in_row).collect();
        let reads = ids?
            .into_iter()
            .map(|id| async move { self.get(&id).await });
        let found: Vec<_> = stream::iter(reads)
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let found = found.into_iter().flatten();
        let failures =
            found.filter(|failed| receiver.is_none_or(|wanted| failed.receiver == wanted));
        Ok(FailurePage {
            failures: failures.collect(),
            next,
        })
    }

    /// The one with this id, if there is one.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn get(&self, id: &DeliveryId) -> Result<Option<FailedDelivery>, DynamoError> {
        let pk = WEBHOOK_FAILURE.pk(id);
        let row = self.dynamo.get(&pk, WEBHOOK_FAILURE.sk).await?;
        row.map(dynamo::from_item).transpose()
    }

    /// Removes the row of a delivery that the receiver has got since, if there is one.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn delete(&self, event: &Event, receiver: &str) -> Result<(), DynamoError> {
        let id = DeliveryId::of(&event.id, receiver);
        let key = dynamo::key(&WEBHOOK_FAILURE.pk(&id), WEBHOOK_FAILURE.sk);
        self.dynamo.delete(key, Condition::exists()).await.map(drop)
    }
}
