//! Events on their way into the queue.

use thiserror::Error;

use super::{Event, FailedDelivery, QueuedEvent};
use crate::queue::{Queue, QueueError};

/// Where events are put for receivers. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(Option<Queue>);

/// Why an event is not sent again.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// There are no webhooks.
    #[error("there are no webhooks: WEBHOOK_QUEUE_URL is not set")]
    NotConfigured,
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Outbox {
    /// In front of this queue; without one, events go nowhere.
    #[must_use]
    pub fn new(queue: Option<Queue>) -> Self {
        Self(queue)
    }

    /// Whether there are webhooks.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Puts events into the queue, for all receivers that want them. After an error any of them may be
    /// there: they can be put there again.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn announce(&self, events: Vec<Event>) -> Result<(), QueueError> {
        let all = events.into_iter().map(|event| QueuedEvent {
            event,
            receiver: None,
        });
        match &self.0 {
            Some(queue) => queue.send(&messages(all)).await,
            None => Ok(()),
        }
    }

    /// Puts an event into the queue for each of these receivers.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn address(
        &self,
        event: &Event,
        receivers: impl IntoIterator<Item = String>,
    ) -> Result<(), OutboxError> {
        let queue = self.0.as_ref().ok_or(OutboxError::NotConfigured)?;
        let each = receivers.into_iter().map(|receiver| QueuedEvent {
            event: event.clone(),
            receiver: Some(receiver),
        });
        Ok(queue.send(&messages(each)).await?)
    }

    /// Puts a delivery that was given up into the queue again. Its event has the same id as before.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn redeliver(&self, failed: FailedDelivery) -> Result<(), OutboxError> {
        let receiver = failed.receiver.clone();
        self.address(&failed.into_event(), [receiver]).await
    }
}

fn messages(events: impl Iterator<Item = QueuedEvent>) -> Vec<String> {
    events.map(|event| event.to_message()).collect()
}
