//! Deliveries that wait for an attempt: rows `WEBHOOK#{id}` / `PENDING`, by receiver and by the time when
//! they are due.

use std::{fmt, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    DeliveryId, Event,
    delivery::{ALL_RECEIVERS, index_attributes, place},
};
use crate::{
    clock::Clock,
    dynamo::{
        self, Condition, DUE_READS, DuePosition, Dynamo, DynamoError, Item, Update, WriteOutcome,
    },
    request,
    users::rows::WEBHOOK_PENDING,
};

/// How partitions of it begin; a receiver follows.
const PARTITION: &str = "WEBHOOK_PENDING#";
/// How long a row is kept past the time when it is due, at least: nobody works on them while the function
/// can't start.
const MIN_RETENTION: Duration = Duration::from_hours(14 * 24);

/// A delivery that waits. `Debug` does not show the payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The receiver; `*` for an event that could not be queued for all of them.
    receiver: String,
    event_id: String,
    event_type: String,
    payload: String,
    /// When the event was queued for the receiver. Deliveries are tried for a time from then on.
    pub queued_at: Timestamp,
    /// When it is to be attempted.
    pub due_at: Timestamp,
    /// How the last attempt failed, or why there was none.
    pub reason: String,
    /// Whether it was given up before, and an administrator had it sent again.
    #[serde(default)]
    pub is_redelivery: bool,
}

impl fmt::Debug for PendingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingDelivery")
            .field("id", &self.id)
            .field("receiver", &self.receiver)
            .field("due_at", &self.due_at)
            .finish_non_exhaustive()
    }
}

impl PendingDelivery {
    /// `event` for `receiver`, queued at and due at these times.
    #[must_use]
    pub fn new(event: &Event, receiver: &str, times: (Timestamp, Timestamp), reason: &str) -> Self {
        let (queued_at, due_at) = times;
        Self {
            id: DeliveryId::of(&event.id, receiver),
            receiver: receiver.to_owned(),
            event_id: event.id.clone(),
            event_type: event.kind.clone(),
            payload: event.payload.clone(),
            queued_at,
            due_at,
            reason: reason.to_owned(),
            is_redelivery: false,
        }
    }

    /// `event`, which could not be queued for its receivers, due at once.
    pub(super) fn unqueued(event: &Event, now: Timestamp, reason: &str) -> Self {
        Self::new(event, ALL_RECEIVERS, (now, now), reason)
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> Event {
        Event {
            id: self.event_id.clone(),
            kind: self.event_type.clone(),
            payload: self.payload.clone(),
        }
    }
}

/// A page of deliveries that are due.
#[derive(Debug)]
pub struct DuePage {
    /// Those of them that are still due.
    pub deliveries: Vec<PendingDelivery>,
    /// How many rows could not be read. The log says why.
    pub unreadable: usize,
    /// Where the next page begins; none on the last one.
    pub next: Option<DuePosition>,
}

/// The deliveries that wait. Cheap to clone.
#[derive(Clone)]
pub struct PendingDeliveries {
    dynamo: Dynamo,
    clock: Clock,
    retention: Duration,
}

impl PendingDeliveries {
    /// Rows in `dynamo`. One that nobody works on, because its receiver is not configured, expires this
    /// long after it was due.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, retention: Duration) -> Self {
        Self {
            dynamo,
            clock,
            retention: retention.max(MIN_RETENTION),
        }
    }

    /// Lets a delivery wait. One that waits already stays as it is.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn add(&self, delivery: &PendingDelivery) -> Result<(), DynamoError> {
        let pk = WEBHOOK_PENDING.pk(&delivery.id);
        let mut row = dynamo::to_item(&pk, WEBHOOK_PENDING.sk, delivery)?;
        row.extend(index_attributes(
            format!("{PARTITION}{}", delivery.receiver),
            place(delivery.due_at, &delivery.id),
            self.expires(delivery.due_at),
        ));
        self.dynamo.put(row, Condition::absent()).await.map(drop)
    }

    fn expires(&self, due_at: Timestamp) -> i64 {
        let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
        due_at.as_second().saturating_add(retention)
    }

    /// At most `limit` of this receiver that are due, the longest waiting first: from the first on, or
    /// those behind `after`. A row that can't be read is left out, so that those behind it don't wait for
    /// it.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn due(
        &self,
        receiver: &str,
        limit: u16,
        after: Option<DuePosition>,
    ) -> Result<DuePage, DynamoError> {
        let now = self.clock.now();
        let partition = format!("{PARTITION}{receiver}");
        let due = self.dynamo.due(partition, now, limit, after).await?;
        let reads = due.rows.into_iter().map(|row| self.read(row));
        let found: Vec<_> = stream::iter(reads).buffered(DUE_READS).collect().await;
        let mut page = DuePage {
            deliveries: Vec::new(),
            unreadable: 0,
            next: due.next,
        };
        for read in found {
            match read {
                // The index may be older than the rows.
                Ok(found) => page
                    .deliveries
                    .extend(found.filter(|delivery| delivery.due_at <= now)),
                Err(error) => {
                    page.unreadable += 1;
                    let why = error.to_string();
                    let message = "a delivery that waits can't be read";
                    tracing::error!(request_id = request::id(), receiver, why, "{message}");
                }
            }
        }
        Ok(page)
    }

    /// Events that could not be queued, as [`Self::due`].
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn unqueued(
        &self,
        limit: u16,
        after: Option<DuePosition>,
    ) -> Result<DuePage, DynamoError> {
        self.due(ALL_RECEIVERS, limit, after).await
    }

    /// The row that a row of the index is about.
    async fn read(&self, indexed: Item) -> Result<Option<PendingDelivery>, DynamoError> {
        let id = DeliveryId::in_row(indexed)?;
        let pk = WEBHOOK_PENDING.pk(id);
        let row = self.dynamo.get(&pk, WEBHOOK_PENDING.sk).await?;
        row.map(dynamo::from_item).transpose()
    }

    /// Moves the time when a delivery is due, for this reason. None where somebody else has worked on it
    /// meanwhile; so the process that moves it before an attempt is the only one that makes it.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn postpone(
        &self,
        delivery: &PendingDelivery,
        due_at: Timestamp,
        reason: &str,
    ) -> Result<Option<PendingDelivery>, DynamoError> {
        // A time that is the same would let two have it.
        let due_at = if due_at == delivery.due_at {
            let later = due_at.checked_add(SignedDuration::from_millis(1));
            later.unwrap_or(due_at)
        } else {
            due_at
        };
        let postponed = PendingDelivery {
            due_at,
            reason: reason.to_owned(),
            ..delivery.clone()
        };
        let set = "SET dueAt = :due, reason = :reason, gsi1sk = :place, #ttl = :ttl";
        let update = Update::new(key(delivery), set, same(delivery))
            .name("#ttl", "ttl")
            .value(":due", dynamo::string(due_at.to_string()))
            .value(":reason", dynamo::string(reason))
            .value(":place", dynamo::string(place(due_at, &delivery.id)))
            .value(":ttl", dynamo::number(self.expires(due_at)));
        let written = self.dynamo.update(update).await?;
        Ok(matches!(written, WriteOutcome::Written(_)).then_some(postponed))
    }

    /// Ends the wait of a delivery, as it was read.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn remove(&self, delivery: &PendingDelivery) -> Result<(), DynamoError> {
        self.dynamo
            .delete(key(delivery), same(delivery))
            .await
            .map(drop)
    }
}

fn key(delivery: &PendingDelivery) -> Item {
    dynamo::key(&WEBHOOK_PENDING.pk(&delivery.id), WEBHOOK_PENDING.sk)
}

fn same(delivery: &PendingDelivery) -> Condition {
    Condition::new("dueAt = :read").value(":read", dynamo::string(delivery.due_at.to_string()))
}
