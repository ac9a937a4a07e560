//! Events on their way into the queue.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use super::{Event, FailedDelivery, PendingDeliveries, PendingDelivery, QueuedEvent};
use crate::{
    clock::Clock,
    dynamo::DynamoError,
    queue::{BoundedQueue, Queue, QueueError},
    request::{self, deadline},
    telemetry::metrics::{self, WebhookDelivery},
};

/// Time for the table, even when the queue took all of the request's.
const TABLE: Duration = Duration::from_millis(500);

/// Where events are put for receivers. Cheap to clone.
///
/// Events that can't be queued become rows, which the schedule queues later: what depends on this, the
/// table's stream among it, waits for the queue two seconds at most.
#[derive(Clone)]
pub struct Outbox(Option<Arc<Inner>>);

struct Inner {
    queue: BoundedQueue,
    pending: PendingDeliveries,
    clock: Clock,
}

/// Why an event was not put anywhere.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// There are no webhooks.
    #[error("there are no webhooks: WEBHOOK_QUEUE_URL is not set")]
    NotConfigured,
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Neither the queue nor the table can be used.
    #[error("webhooks: neither queue nor table: {0}")]
    Table(#[from] DynamoError),
}

impl Outbox {
    /// In front of this queue and these rows; without a queue, events go nowhere.
    #[must_use]
    pub fn new(queue: Option<Queue>, pending: PendingDeliveries, clock: Clock) -> Self {
        Self(queue.map(|queue| {
            Arc::new(Inner {
                queue: BoundedQueue::new(queue),
                pending,
                clock,
            })
        }))
    }

    /// Whether there are webhooks.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands over events, for all receivers that want them: to the queue, or to the table where the queue
    /// can't be used. After an error any of them may be there: they can be handed over again.
    ///
    /// # Errors
    /// [`OutboxError::Table`], where neither takes them.
    pub async fn announce(&self, events: Vec<Event>) -> Result<(), OutboxError> {
        if let Some(outbox) = &self.0 {
            for event in &events {
                outbox.announce(event).await?;
            }
        }
        Ok(())
    }

    /// Puts an event that is in the table into the queue, for all receivers that want it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn requeue(&self, pending: &PendingDelivery) -> Result<(), OutboxError> {
        let message = for_all(&pending.event());
        Ok(self.inner()?.queue.unbounded().send(&[message]).await?)
    }

    /// Puts an event into the queue for each of these receivers.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn fan_out(
        &self,
        event: &Event,
        receivers: impl IntoIterator<Item = String>,
    ) -> Result<(), OutboxError> {
        let each = receivers.into_iter().map(|receiver| QueuedEvent {
            event: event.clone(),
            receiver: Some(receiver),
            is_redelivery: false,
        });
        let messages: Vec<_> = each.map(|event| event.to_message()).collect();
        Ok(self.inner()?.queue.unbounded().send(&messages).await?)
    }

    /// Puts a delivery that was given up into the queue again. Its event has the same id as before. Its
    /// row stays until the receiver has it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn redeliver(&self, failed: FailedDelivery) -> Result<(), OutboxError> {
        let queued = QueuedEvent {
            receiver: Some(failed.receiver.clone()),
            event: failed.into_event(),
            is_redelivery: true,
        };
        Ok(self
            .inner()?
            .queue
            .unbounded()
            .send(&[queued.to_message()])
            .await?)
    }

    fn inner(&self) -> Result<&Inner, OutboxError> {
        self.0.as_deref().ok_or(OutboxError::NotConfigured)
    }
}

impl Inner {
    async fn announce(&self, event: &Event) -> Result<(), DynamoError> {
        let Err(error) = self.queue.send(for_all(event)).await else {
            return Ok(());
        };
        let (request_id, event_id) = (request::id(), &event.id);
        tracing::warn!(request_id, event = event_id, why = %error, "an event is not queued: it goes into the table");
        let now = self.clock.now();
        let pending = PendingDelivery::unqueued(event, now, "not queued");
        deadline::at_least(TABLE, self.pending.add(&pending)).await?;
        metrics::webhook_delivery(WebhookDelivery::NotQueued);
        Ok(())
    }
}

fn for_all(event: &Event) -> String {
    let queued = QueuedEvent {
        event: event.clone(),
        receiver: None,
        is_redelivery: false,
    };
    queued.to_message()
}
