//! What the queue of messages holds.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    Message, MessageId, MessageRequest, MessageRules, RawMessageRequest, content::is_field_name,
};
use crate::{api::Violation, ids::UserId};

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueEntry {
    /// A message that was recorded.
    Recorded {
        /// Who gets it.
        user: UserId,
        /// Its id.
        message: MessageId,
    },
    /// The order of a function of one's own.
    Order(Box<MessageRequest>),
}

/// A message of the queue that is neither. Nothing of its values is quoted, nor a name of a field that no
/// template has, which can be a value in the wrong place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnreadableEntry {
    /// Not JSON, or not as orders are written.
    #[error("not an order")]
    NotAnOrder,
    /// It breaks rules.
    #[error("an order with invalid fields: {}", list(.0))]
    Invalid(Vec<Violation>),
}

fn list(violations: &[Violation]) -> String {
    let each: Vec<_> = violations.iter().map(named).collect();
    each.join(", ")
}

fn named(violation: &Violation) -> String {
    match violation.field().strip_prefix("data.") {
        Some(name) if !is_field_name(name) => {
            Violation::new("data.?", violation.rule()).to_string()
        }
        _ => violation.to_string(),
    }
}

/// A message that was recorded, as it stands in the queue.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recorded {
    user_id: UserId,
    message_id: MessageId,
}

fn recorded(user_id: UserId, message_id: MessageId) -> String {
    let recorded = Recorded {
        user_id,
        message_id,
    };
    // Two texts: writing them can't fail.
    serde_json::to_string(&recorded).unwrap_or_default()
}

impl QueueEntry {
    /// The text of the entry of a message that was recorded.
    #[must_use]
    pub fn text_of(message: &Message) -> String {
        recorded(message.user, message.id.clone())
    }

    /// Reads a message of the queue.
    ///
    /// # Errors
    /// [`UnreadableEntry`].
    pub fn read(text: &str, rules: &MessageRules) -> Result<Self, UnreadableEntry> {
        if let Ok(recorded) = serde_json::from_str::<Recorded>(text) {
            return Ok(Self::Recorded {
                user: recorded.user_id,
                message: recorded.message_id,
            });
        }
        // serde also accepts an array for a struct, with its fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(UnreadableEntry::NotAnOrder);
        }
        let raw: RawMessageRequest =
            serde_json::from_str(text).map_err(|_| UnreadableEntry::NotAnOrder)?;
        let order = raw.check(rules).map_err(UnreadableEntry::Invalid)?;
        Ok(Self::Order(Box::new(order)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MessageTemplates;

    const USER: &str = "0193c0de-0000-7000-8000-00000000abcd";

    fn rules() -> MessageRules {
        MessageRules {
            apps: vec!["wx1".parse().unwrap()],
            templates: MessageTemplates::default(),
        }
    }

    #[test]
    fn a_recorded_message_is_read_as_it_was_written() {
        let (user, message): (UserId, MessageId) =
            (USER.parse().unwrap(), "0".repeat(32).parse().unwrap());
        let text = recorded(user, message.clone());
        assert_eq!(
            text,
            format!(r#"{{"userId":"{USER}","messageId":"{}"}}"#, "0".repeat(32))
        );
        let entry = QueueEntry::Recorded { user, message };
        assert_eq!(QueueEntry::read(&text, &rules()), Ok(entry));
    }

    #[test]
    fn an_order_is_the_body_of_a_request() {
        let text = format!(
            r#"{{"idempotencyKey":"12345678","userId":"{USER}","type":"customer_service","message":{{"kind":"text","content":"x"}}}}"#
        );
        let read = QueueEntry::read(&text, &rules()).unwrap();
        let QueueEntry::Order(order) = read else {
            panic!("{read:?}")
        };
        assert_eq!(order.app_id.as_str(), "wx1");
    }

    #[test]
    fn what_is_wrong_with_an_order_is_said_without_its_values() {
        for garbage in [
            "",
            "secret",
            "[]",
            "{}",
            r#"{"userId":"u","messageId":"m"}"#,
        ] {
            let read = QueueEntry::read(garbage, &rules());
            assert_eq!(read, Err(UnreadableEntry::NotAnOrder), "{garbage}");
        }
        let text = r#"{"idempotencyKey":"secret","userId":"secret","type":"subscribe","templateId":"secret",
            "data":{"thing1":"secret secret secret secret","my secret":"x"}}"#;
        let error = QueueEntry::read(text, &rules()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an order with invalid fields: idempotencyKey (idempotency_key), userId (user_id), data.? (template_field), data.thing1 (template_field)"
        );
    }
}
