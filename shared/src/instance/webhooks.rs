//! Webhooks.

use super::Instance;
use crate::{
    config::WebhookSettings,
    queue::Queue,
    webhooks::{Failures, Outbox, PendingDeliveries, ReceiverPauses},
};

impl Instance {
    /// The queue of webhooks, if there is one. Connects at the first call.
    pub fn webhook_queue(&self) -> Option<Queue> {
        let build = || {
            let settings = WebhookSettings::read(&self.env).queue?;
            Some(Queue::new(settings, self.clock(), self.random()))
        };
        self.webhook_queue.get_or_init(build).clone()
    }

    /// Where events are put for receivers of webhooks.
    pub fn webhook_outbox(&self) -> Outbox {
        Outbox::new(self.webhook_queue(), self.pending_webhooks(), self.clock())
    }

    /// Deliveries of webhooks that wait for an attempt.
    pub fn pending_webhooks(&self) -> PendingDeliveries {
        let retention = WebhookSettings::read(&self.env).failure_retention;
        PendingDeliveries::new(self.dynamo(), self.clock(), retention)
    }

    /// Pauses that receivers of webhooks ask for.
    pub fn webhook_pauses(&self) -> ReceiverPauses {
        ReceiverPauses::new(self.dynamo(), self.clock())
    }

    /// Deliveries of webhooks that were given up.
    pub fn webhook_failures(&self) -> Failures {
        let retention = WebhookSettings::read(&self.env).failure_retention;
        Failures::new(self.dynamo(), self.clock(), retention)
    }
}
