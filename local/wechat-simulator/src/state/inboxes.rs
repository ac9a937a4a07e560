//! The messages that were delivered to users.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value;

use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};

/// The most messages of one user; beyond that the oldest ones are dropped.
const MAX_MESSAGES: usize = 100;

/// A message on a user's phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveredMessage {
    /// When it was delivered, in seconds since 1970.
    pub delivered_at: u64,
    /// The message.
    #[serde(flatten)]
    pub content: MessageContent,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum MessageContent {
    /// A subscribe message.
    Subscribe {
        /// The template.
        template_id: String,
        /// The page that a tap opens.
        page: Option<String>,
        /// The template's fields.
        data: BTreeMap<String, String>,
        /// `developer`, `trial` or `formal`.
        miniprogram_state: String,
        /// `zh_CN`, `en_US`, `zh_HK` or `zh_TW`.
        lang: String,
    },
    /// A reply of customer service.
    CustomerService {
        /// The request's `msgtype` and what it has below that name.
        message: Value,
    },
}

/// By openid, oldest first.
pub(crate) struct Inboxes(BoundedMap<String, VecDeque<DeliveredMessage>>);

impl Inboxes {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    pub(crate) fn deliver(&mut self, open_id: &str, message: DeliveredMessage) {
        if let Some(inbox) = self.0.get_mut(open_id) {
            if inbox.len() == MAX_MESSAGES {
                inbox.pop_front();
            }
            inbox.push_back(message);
        } else {
            self.0.insert(open_id.to_owned(), [message].into());
        }
    }

    pub(crate) fn of(&self, open_id: &str) -> Vec<DeliveredMessage> {
        let inbox = self.0.peek(open_id);
        inbox.map_or_else(Vec::new, |inbox| inbox.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_are_dropped() {
        let mut inboxes = Inboxes::new();
        for delivered_at in 0..=100 {
            let content = MessageContent::CustomerService {
                message: Value::Null,
            };
            let message = DeliveredMessage {
                delivered_at,
                content,
            };
            inboxes.deliver("o1", message);
        }
        let messages = inboxes.of("o1");
        assert_eq!((messages.len(), messages[0].delivered_at), (100, 1));
        assert_eq!(inboxes.of("o2"), []);
    }
}
