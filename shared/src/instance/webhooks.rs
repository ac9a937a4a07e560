//! Webhooks.

use super::Instance;
use crate::{
    config::WebhookSettings,
    queue::Queue,
    webhooks::{Failures, Outbox},
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
        Outbox::new(self.webhook_queue())
    }

    /// Deliveries of webhooks that were given up.
    pub fn webhook_failures(&self) -> Failures {
        let kept = WebhookSettings::read(&self.env).failures_kept;
        Failures::new(self.dynamo(), self.clock(), kept)
    }
}
