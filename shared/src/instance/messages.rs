//! Messages to users.

use super::Instance;
use crate::{
    config::{MessageSettings, app_ids},
    messages::{Grants, MessageRules, Messages},
    queue::Queue,
};

impl Instance {
    /// The queue of messages to users, if there is one. Connects at the first call.
    pub fn message_queue(&self) -> Option<Queue> {
        let build = || {
            let settings = MessageSettings::read(&self.env).queue?;
            Some(Queue::new(settings, self.clock(), self.random()))
        };
        self.message_queue.get_or_init(build).clone()
    }

    /// Messages to users.
    pub fn messages(&self) -> Messages {
        let settings = MessageSettings::read(&self.env);
        Messages::new(
            self.dynamo(),
            self.clock(),
            self.random(),
            settings.retention,
            settings.grant_retention,
        )
    }

    /// What users agreed to receive.
    pub fn grants(&self) -> Grants {
        let retention = MessageSettings::read(&self.env).grant_retention;
        Grants::new(self.dynamo(), self.clock(), retention)
    }

    /// What the settings say of messages.
    pub fn message_rules(&self) -> MessageRules {
        MessageRules {
            apps: app_ids(&self.env),
            templates: MessageSettings::read(&self.env).templates,
        }
    }
}
