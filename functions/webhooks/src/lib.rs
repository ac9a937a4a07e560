//! Delivers events to receivers (`docs/webhooks.md`). Its events are messages of the queue of webhooks.
//!
//! An event is first for all receivers; then each that wants it gets a message of its own, so that none
//! waits for another. A message that is not delivered stays in the queue, hidden until the next attempt.

mod addresses;
mod resting;
mod schedule;
mod sender;
mod settings;
mod signature;

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use serde_json::{json, value::RawValue};
use shared::{
    clock::Clock,
    instance::Instance,
    queue::{BatchResponse, Queue, QueueEvent, QueueRecord},
    request,
    runtime::{EventHandler, Handled, InvocationError},
    telemetry::metrics::{self, WebhookDelivery},
    webhooks::{Event, Failures, Outbox, QueuedEvent},
};

use resting::Resting;
use schedule::Schedule;
use sender::{Attempt, Failure, Sender};
use settings::{DeliverySettings, Receiver};

pub use settings::{DOCUMENTED, WEBHOOK_PRIVATE_NETWORKS, WEBHOOKS};

/// What handles the events of this function.
pub fn handler(instance: &Instance) -> Arc<dyn EventHandler> {
    let DeliverySettings {
        receivers,
        addresses,
        timeout,
        give_up_after,
    } = DeliverySettings::read(instance.env());
    Arc::new(Deliveries {
        receivers,
        sender: Sender::new(addresses, timeout, instance.clock()),
        resting: Resting::default(),
        schedule: Schedule {
            give_up_after,
            random: instance.random(),
        },
        queue: instance.webhook_queue(),
        outbox: instance.webhook_outbox(),
        failures: instance.webhook_failures(),
        clock: instance.clock(),
    })
}

struct Deliveries {
    receivers: Vec<Receiver>,
    sender: Sender,
    resting: Resting,
    schedule: Schedule,
    queue: Option<Queue>,
    outbox: Outbox,
    failures: Failures,
    clock: Clock,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing is left to do: it is deleted.
    Done,
    /// It stays in the queue until the next attempt.
    Later,
    /// It stays in the queue because this service failed, or because it can't be read. After many such
    /// ends the queue moves it to its dead letters.
    Broken,
}

impl EventHandler for Deliveries {
    fn handle<'a>(
        &'a self,
        event: &'a RawValue,
    ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
        async move {
            // The parser's own words can quote the event.
            let event: QueueEvent = serde_json::from_str(event.get())
                .map_err(|_| InvocationError("not messages of a queue".to_owned()))?;
            Ok(self.handle_all(event.records).await)
        }
        .boxed()
    }
}

impl Deliveries {
    async fn handle_all(&self, records: Vec<QueueRecord>) -> Handled {
        let each = records.iter().map(|record| self.handle_one(record));
        let outcomes = join_all(each).await;
        let is_complete = !outcomes.contains(&Outcome::Broken);
        let kept = records.into_iter().zip(outcomes);
        let kept = kept.filter(|(_, outcome)| *outcome != Outcome::Done);
        let answer: BatchResponse = kept.map(|(record, _)| record.message_id).collect();
        Handled {
            route: "webhooks",
            answer: json!(answer),
            is_complete,
        }
    }

    async fn handle_one(&self, record: &QueueRecord) -> Outcome {
        let QueuedEvent { event, receiver } = match QueuedEvent::read(&record.body) {
            Ok(queued) => queued,
            Err(error) => {
                let (message_id, why) = (&record.message_id, error.to_string());
                tracing::error!(
                    request_id = request::id(),
                    message_id,
                    why,
                    "an unreadable message"
                );
                metrics::webhook_delivery(WebhookDelivery::Unreadable);
                return Outcome::Broken;
            }
        };
        let Some(id) = receiver else {
            return self.address(&event).await;
        };
        if let Some(receiver) = self.receivers.iter().find(|known| known.id == id) {
            return self.deliver(record, receiver, &event).await;
        }
        let event = &event.id;
        tracing::warn!(
            request_id = request::id(),
            receiver = id,
            event,
            "an event for a receiver that is no longer configured"
        );
        metrics::webhook_delivery(WebhookDelivery::Dropped);
        Outcome::Done
    }

    /// Puts an event into the queue again, for each receiver that wants it. If that ends half-way, some
    /// get it twice, under the same id.
    async fn address(&self, event: &Event) -> Outcome {
        let wanting = self.receivers.iter().filter(|it| it.wants(&event.kind));
        let ids = wanting.map(|receiver| receiver.id.clone());
        match self.outbox.address(event, ids).await {
            Ok(()) => Outcome::Done,
            Err(error) => Self::broken(event, "its receivers", &error),
        }
    }

    async fn deliver(&self, record: &QueueRecord, receiver: &Receiver, event: &Event) -> Outcome {
        // The last attempt is always made.
        let is_last = self.schedule.is_last(self.age(record));
        let attempt = if !is_last && self.resting.has(&receiver.id, self.clock.now()) {
            Attempt::Failed(Failure::silence("resting"))
        } else {
            self.attempt(receiver, event).await
        };
        match attempt {
            Attempt::Delivered => {
                let (event, receiver) = (&event.id, &receiver.id);
                tracing::debug!(request_id = request::id(), receiver, event, "delivered");
                metrics::webhook_delivery(WebhookDelivery::Delivered);
                Outcome::Done
            }
            Attempt::Gone => self.give_up(receiver, event, "status 410".to_owned()).await,
            Attempt::Failed(failure) => self.retry(record, receiver, event, failure).await,
        }
    }

    async fn attempt(&self, receiver: &Receiver, event: &Event) -> Attempt {
        let attempt = self.sender.attempt(receiver, event).await;
        match &attempt {
            Attempt::Failed(failure) if failure.is_silence => {
                self.resting.begin(&receiver.id, self.clock.now());
            }
            _ => self.resting.end(&receiver.id),
        }
        attempt
    }

    async fn retry(
        &self,
        record: &QueueRecord,
        receiver: &Receiver,
        event: &Event,
        failure: Failure,
    ) -> Outcome {
        let pause = self.schedule.pause(self.age(record), failure.retry_after);
        let Some(pause) = pause else {
            return self.give_up(receiver, event, failure.reason).await;
        };
        let (id, reason, seconds) = (&event.id, &failure.reason, pause.as_secs());
        tracing::info!(
            request_id = request::id(),
            receiver = receiver.id,
            event = id,
            reason,
            seconds,
            "a delivery failed and is tried again"
        );
        metrics::webhook_delivery(WebhookDelivery::Retried);
        let Some(queue) = &self.queue else {
            return Outcome::Later;
        };
        match queue.hide(&record.receipt_handle, pause).await {
            Ok(()) => Outcome::Later,
            // It comes back when the queue's own time is over.
            Err(error) => Self::broken(event, "its next attempt", &error),
        }
    }

    /// How long the delivery has waited already.
    fn age(&self, record: &QueueRecord) -> Duration {
        let sent = record.sent_at();
        let age = sent.map(|sent| self.clock.now().duration_since(sent));
        age.and_then(|age| Duration::try_from(age).ok())
            .unwrap_or_default()
    }

    /// Writes down that the event was not delivered, for administrators.
    async fn give_up(&self, receiver: &Receiver, event: &Event, reason: String) -> Outcome {
        let id = &event.id;
        tracing::warn!(
            request_id = request::id(),
            receiver = receiver.id,
            event = id,
            reason,
            "a delivery is given up"
        );
        match self.failures.record(event, &receiver.id, reason).await {
            Ok(()) => {
                metrics::webhook_delivery(WebhookDelivery::GivenUp);
                Outcome::Done
            }
            Err(error) => Self::broken(event, "that it is given up", &error),
        }
    }

    fn broken(event: &Event, what: &'static str, error: &dyn std::error::Error) -> Outcome {
        let (event, why) = (&event.id, error.to_string());
        tracing::error!(
            request_id = request::id(),
            event,
            what,
            why,
            "an event can't be moved on"
        );
        metrics::webhook_delivery(WebhookDelivery::Broken);
        Outcome::Broken
    }
}
