//! Messages to users.

use super::Instance;
use crate::{
    config::{MessageTemplates, app_ids, grant_retention, message_queue, message_retention},
    messages::{Grants, MessageRules, Messages},
    queue::Queue,
};

impl Instance {
    /// The queue of messages to users, if there is one. Connects at the first call.
    pub fn message_queue(&self) -> Option<Queue> {
        let build = || {
            let settings = message_queue(&self.env)?;
            Some(Queue::new(settings, self.clock(), self.random()))
        };
        self.message_queue.get_or_init(build).clone()
    }

    /// Messages to users.
    pub fn messages(&self) -> Messages {
        let retention = message_retention(&self.env);
        Messages::new(self.dynamo(), self.clock(), self.random(), retention)
    }

    /// What users agreed to receive.
    pub fn grants(&self) -> Grants {
        Grants::new(self.dynamo(), self.clock(), grant_retention(&self.env))
    }

    /// What the settings say of messages.
    pub fn message_rules(&self) -> MessageRules {
        MessageRules {
            apps: app_ids(&self.env),
            templates: MessageTemplates::read(&self.env),
        }
    }
}
