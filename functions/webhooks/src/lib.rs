//! Delivers events to receivers (`docs/webhooks.md`). Its events are messages of the queue of webhooks.
//!
//! An event is first for all receivers; then each that wants it gets a message of its own, so that none
//! waits for another. A delivery that fails becomes a row, and so does one to a receiver that is slow. A
//! schedule has the rows worked on that are due.

mod addresses;
mod bulkheads;
mod retries;
mod retry_after;
mod schedule;
mod sender;
mod settings;
mod signature;

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
    join,
};
use jiff::Timestamp;
use serde_json::value::RawValue;
use shared::{
    clock::Clock,
    instance::Instance,
    queue::QueueRecord,
    request,
    runtime::{EventHandler, Handled, InvocationError, QueueWork},
    telemetry::metrics::{self, WebhookDelivery},
    webhooks::{
        Event, Failures, Outbox, PendingDeliveries, PendingDelivery, QueuedEvent, ReceiverPauses,
    },
};

use bulkheads::Bulkheads;
use retries::Retries;
use schedule::Schedule;
use sender::{Attempt, Sender};
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
    let (clock, sender) = (
        instance.clock(),
        Sender::new(addresses, timeout, instance.clock()),
    );
    let schedule = Schedule {
        give_up_after,
        random: instance.random(),
    };
    let (outbox, failures) = (instance.webhook_outbox(), instance.webhook_failures());
    let (pending, pauses) = (instance.pending_webhooks(), instance.webhook_pauses());
    Arc::new(Deliveries {
        receivers,
        bulkheads: Bulkheads::new(clock.clone()),
        retries: Retries {
            sender: sender.clone(),
            schedule: schedule.clone(),
            pending: pending.clone(),
            pauses: pauses.clone(),
            failures: failures.clone(),
            outbox: outbox.clone(),
            clock: clock.clone(),
        },
        sender,
        schedule,
        outbox,
        pending,
        pauses,
        failures,
        clock,
    })
}

/// For how long a message waits for its receiver to be configured: while a new version takes over, both
/// get messages.
const CONFIGURATION_LAG: Duration = Duration::from_mins(15);

struct Deliveries {
    receivers: Vec<Receiver>,
    sender: Sender,
    bulkheads: Bulkheads,
    schedule: Schedule,
    outbox: Outbox,
    pending: PendingDeliveries,
    pauses: ReceiverPauses,
    failures: Failures,
    retries: Retries,
    clock: Clock,
}

/// What the schedule asks for.
const RETRY: &str = "retry-webhooks";

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing is left to do: it is deleted.
    Done,
    /// It comes back after a while.
    Later,
    /// It comes back, because this service failed or because it can't be read. After many such ends the
    /// queue moves it to its dead letters.
    Failed,
}

impl EventHandler for Deliveries {
    fn handle<'a>(
        &'a self,
        event: &'a RawValue,
    ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
        self.dispatch(event.get()).boxed()
    }
}

impl Deliveries {
    async fn dispatch(&self, event: &str) -> Result<Handled, InvocationError> {
        match QueueWork::read(event, RETRY)? {
            QueueWork::Messages(records) => Ok(self.handle_all(records).await),
            QueueWork::Due => {
                let report = self.retries.run(&self.receivers).await;
                Handled::due(&report, report.failed > 0)
            }
        }
    }

    async fn handle_all(&self, records: Vec<QueueRecord>) -> Handled {
        let each = records.iter().map(|record| self.handle_one(record));
        let outcomes = join_all(each).await;
        let is_complete = !outcomes.contains(&Outcome::Failed);
        let are_done = outcomes.iter().map(|outcome| *outcome == Outcome::Done);
        let messages = records.into_iter().zip(are_done);
        Handled::messages("webhooks", messages, is_complete)
    }

    async fn handle_one(&self, record: &QueueRecord) -> Outcome {
        let queued = match QueuedEvent::read(&record.body) {
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
                return Outcome::Failed;
            }
        };
        let Some(id) = &queued.receiver else {
            return self.fan_out(&queued.event).await;
        };
        match self.receivers.iter().find(|known| known.id == *id) {
            Some(receiver) => self.deliver(record, receiver, &queued).await,
            None => self.not_configured(record, id, &queued.event).await,
        }
    }

    /// Puts an event into the queue again, for each receiver that wants it. If that ends half-way, some
    /// get it twice, under the same id.
    async fn fan_out(&self, event: &Event) -> Outcome {
        let wanting = self.receivers.iter().filter(|it| it.wants(&event.kind));
        let ids = wanting.map(|receiver| receiver.id.clone());
        match self.outbox.fan_out(event, ids).await {
            Ok(()) => Outcome::Done,
            Err(error) => Self::failed(event, "its receivers", &error),
        }
    }

    async fn deliver(
        &self,
        record: &QueueRecord,
        receiver: &Receiver,
        queued: &QueuedEvent,
    ) -> Outcome {
        let event = &queued.event;
        let attempt = self.sender.attempt(receiver, event);
        let Some(attempt) = self.bulkheads.attempt(&receiver.id, attempt).await else {
            let now = self.clock.now();
            metrics::webhook_delivery(WebhookDelivery::Deferred);
            return self
                .put_off(record, receiver, queued, ("deferred", now))
                .await;
        };
        match attempt {
            Attempt::Delivered => self.delivered(receiver, queued).await,
            Attempt::Gone => self.give_up(&receiver.id, event, "status 410").await,
            Attempt::Failed(failure) => {
                let queued_at = self.queued_at(record);
                let (now, asked) = (self.clock.now(), failure.retry_after);
                let next = self.schedule.next(queued_at, now, asked);
                metrics::webhook_delivery(WebhookDelivery::Retried);
                let ((), outcome) = join!(
                    retry_after::keep(&self.pauses, &receiver.id, asked, &failure.reason),
                    self.put_off(record, receiver, queued, (&failure.reason, next)),
                );
                outcome
            }
        }
    }

    async fn delivered(&self, receiver: &Receiver, queued: &QueuedEvent) -> Outcome {
        let (event, id) = (&queued.event, &receiver.id);
        tracing::debug!(
            request_id = request::id(),
            receiver = id,
            event = event.id,
            "delivered"
        );
        metrics::webhook_delivery(WebhookDelivery::Delivered);
        if !queued.is_redelivery {
            return Outcome::Done;
        }
        match self.failures.delete(event, id).await {
            Ok(()) => Outcome::Done,
            Err(error) => Self::failed(event, "that it is delivered", &error),
        }
    }

    /// Lets a delivery wait in the table for its next attempt.
    async fn put_off(
        &self,
        record: &QueueRecord,
        receiver: &Receiver,
        queued: &QueuedEvent,
        (reason, next): (&str, Timestamp),
    ) -> Outcome {
        let (event, times) = (&queued.event, (self.queued_at(record), next));
        tracing::info!(
            request_id = request::id(), receiver = receiver.id, event = event.id, reason, next = %next,
            "a delivery waits for its next attempt"
        );
        let mut pending = PendingDelivery::new(event, &receiver.id, times, reason);
        pending.is_redelivery = queued.is_redelivery;
        match self.pending.add(&pending).await {
            Ok(()) => Outcome::Done,
            Err(error) => Self::failed(event, "its next attempt", &error),
        }
    }

    /// When the message was sent to the queue.
    fn queued_at(&self, record: &QueueRecord) -> Timestamp {
        let now = self.clock.now();
        record.sent_at().map_or(now, |sent| sent.min(now))
    }

    /// Nothing is lost for a receiver that is missing in the configuration: administrators see it.
    async fn not_configured(&self, record: &QueueRecord, receiver: &str, event: &Event) -> Outcome {
        let age = self.clock.now().duration_since(self.queued_at(record));
        if age.unsigned_abs() < CONFIGURATION_LAG {
            return Outcome::Later;
        }
        let id = &event.id;
        tracing::warn!(
            request_id = request::id(),
            receiver,
            event = id,
            "an event for a receiver that is not configured"
        );
        let reason = "not configured";
        match self.failures.record(event, receiver, reason).await {
            Ok(()) => {
                metrics::webhook_delivery(WebhookDelivery::NotConfigured);
                Outcome::Done
            }
            Err(error) => Self::failed(event, "that it is given up", &error),
        }
    }

    /// Writes down that the event was not delivered, for administrators.
    async fn give_up(&self, receiver: &str, event: &Event, reason: &str) -> Outcome {
        let id = &event.id;
        tracing::warn!(
            request_id = request::id(),
            receiver,
            event = id,
            reason,
            "a delivery is given up"
        );
        match self.failures.record(event, receiver, reason).await {
            Ok(()) => {
                metrics::webhook_delivery(WebhookDelivery::GivenUp);
                Outcome::Done
            }
            Err(error) => Self::failed(event, "that it is given up", &error),
        }
    }

    fn failed(event: &Event, what: &'static str, error: &dyn std::error::Error) -> Outcome {
        let (event, why) = (&event.id, error.to_string());
        tracing::error!(
            request_id = request::id(),
            event,
            what,
            why,
            "an event can't be moved on"
        );
        metrics::webhook_delivery(WebhookDelivery::Failed);
        Outcome::Failed
    }
}
