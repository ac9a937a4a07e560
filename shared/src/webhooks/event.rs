//! An event, and the message by which the queue has it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The version of messages in the queue.
const VERSION: u8 = 1;
/// How ids of events begin.
const ID_PREFIX: &str = "evt_";

/// What happened. `Debug` shows no data.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for the same event, however often it is reported: receivers tell repetitions by it.
    pub id: String,
    /// Its type, such as `user.created`.
    pub kind: String,
    /// What receivers get: JSON with `type`, `id`, `timestamp` and `data`. It is written once, so that
    /// every attempt and every receiver has the same bytes.
    pub payload: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    id: &'a str,
    timestamp: String,
    data: &'a Value,
}

impl Event {
    /// An event of type `kind`, of which there can be one for each `source`: the texts that name what it
    /// was made of.
    #[must_use]
    pub fn new(kind: &str, source: &[&str], at: Timestamp, data: &Value) -> Self {
        let id = id(kind, source);
        let payload = Payload {
            r#type: kind,
            id: &id,
            timestamp: format!("{at:.3}"),
            data,
        };
        // Texts and a value of JSON: writing them can't fail.
        let payload = serde_json::to_string(&payload).unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            payload,
            id,
        }
    }
}

impl Event {
    /// The payload without the fields of a message that WeChat pushed: openids, and what users wrote.
    pub(super) fn payload_without_fields(&self) -> String {
        let payload = serde_json::from_str::<Value>(&self.payload);
        let Ok(mut payload) = payload else {
            return self.payload.clone();
        };
        let data = payload.get_mut("data").and_then(Value::as_object_mut);
        match data.and_then(|data| data.remove("fields")) {
            Some(_) => payload.to_string(),
            None => self.payload.clone(),
        }
    }
}

/// 128 bits of a hash. Each text is hashed with its length, so that no two lists are alike.
fn id(kind: &str, source: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in std::iter::once(&kind).chain(source) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    format!("{ID_PREFIX}{}", hex::encode(&hash.finalize()[..16]))
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// An event in the queue: for all receivers that want it, or for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedEvent {
    /// The event.
    pub event: Event,
    /// The id of the receiver that it is for. None: for all, each of which then gets a message of its
    /// own.
    pub receiver: Option<String>,
    /// Whether an administrator has it sent again. It is listed as given up until the receiver has it.
    pub is_redelivery: bool,
}

/// A message that is no event. Nothing of it is quoted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnreadableMessage {
    /// Not JSON, or not as events are written.
    #[error("not an event")]
    NotAnEvent,
    /// Of a version that is not known.
    #[error("an event of version {0}")]
    Version(u8),
}

/// As it stands in the queue.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    version: u8,
    id: String,
    r#type: String,
    payload: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receiver: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    redelivery: bool,
}

/// Characters that SQS does not take. JSON has them in strings only, where they can be escaped.
const NOT_IN_MESSAGES: [(char, &str); 2] = [('\u{fffe}', "\\ufffe"), ('\u{ffff}', "\\uffff")];

impl QueuedEvent {
    /// The text of the message.
    #[must_use]
    pub fn to_message(&self) -> String {
        let Event { id, kind, payload } = self.event.clone();
        let message = Message {
            version: VERSION,
            id,
            r#type: kind,
            payload,
            receiver: self.receiver.clone(),
            redelivery: self.is_redelivery,
        };
        // Texts and a number: writing them can't fail.
        let text = serde_json::to_string(&message).unwrap_or_default();
        let each = NOT_IN_MESSAGES.into_iter();
        each.fold(text, |text, (character, escape)| {
            text.replace(character, escape)
        })
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`UnreadableMessage`].
    pub fn read(text: &str) -> Result<Self, UnreadableMessage> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u8,
        }
        let unreadable = |_| UnreadableMessage::NotAnEvent;
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            return Err(UnreadableMessage::Version(version));
        }
        let message: Message = serde_json::from_str(text).map_err(unreadable)?;
        Ok(Self {
            event: Event {
                id: message.id,
                kind: message.r#type,
                payload: message.payload,
            },
            receiver: message.receiver,
            is_redelivery: message.redelivery,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(source: &[&str]) -> Event {
        let at = "2026-11-26T01:02:03.004Z".parse().unwrap();
        Event::new("user.created", source, at, &json!({"userId": "u"}))
    }

    #[test]
    fn the_payload_is_as_documented() {
        let event = event(&["u", "1"]);
        let expected = format!(
            r#"{{"type":"user.created","id":"{}","timestamp":"2026-11-26T01:02:03.004Z","data":{{"userId":"u"}}}}"#,
            event.id
        );
        assert_eq!(event.payload, expected);
        assert!(!format!("{event:?}").contains("userId"));
    }

    #[test]
    fn the_id_depends_on_type_and_source_alone() {
        let first = event(&["u", "1"]);
        assert_eq!(first.id, event(&["u", "1"]).id);
        let later = Event::new(
            "user.created",
            &["u", "1"],
            Timestamp::UNIX_EPOCH,
            &json!({}),
        );
        assert_eq!(first.id, later.id);
        assert_eq!(first.id.len(), "evt_".len() + 32);
        for other in [&["u", "2"][..], &["u1"], &["u1", ""], &["", "u1"]] {
            assert_ne!(first.id, event(other).id, "{other:?}");
        }
        let deleted = Event::new(
            "user.deleted",
            &["u", "1"],
            Timestamp::UNIX_EPOCH,
            &json!({}),
        );
        assert_ne!(first.id, deleted.id);
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for (receiver, is_redelivery) in [(None, false), (Some("crm".to_owned()), true)] {
            let event = event(&["u"]);
            let queued = QueuedEvent {
                event,
                receiver,
                is_redelivery,
            };
            assert_eq!(QueuedEvent::read(&queued.to_message()), Ok(queued));
        }
    }

    #[test]
    fn a_message_has_only_characters_that_the_queue_takes() {
        let at = Timestamp::UNIX_EPOCH;
        let text = "\u{ffff} \u{fffe} \\ \u{1} 😀";
        let queued = QueuedEvent {
            event: Event::new("wechat.text", &["m"], at, &json!({"text": text})),
            receiver: None,
            is_redelivery: false,
        };
        let message = queued.to_message();
        // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
        let is_taken = |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(message.chars().all(is_taken), "{message}");
        assert_eq!(QueuedEvent::read(&message), Ok(queued));
    }

    #[test]
    fn fields_of_pushed_messages_can_be_left_out() {
        let of = |data: &Value| {
            let event = Event::new("wechat.text", &["m"], Timestamp::UNIX_EPOCH, data);
            (event.payload_without_fields(), event.payload)
        };
        let (without, _) = of(&json!({"appId": "wx1", "fields": {"Content": "private"}}));
        let without: Value = serde_json::from_str(&without).unwrap();
        assert_eq!(without["data"], json!({"appId": "wx1"}));
        assert_eq!(without["type"], "wechat.text");
        let (without, whole) = of(&json!({"appId": "wx1"}));
        assert_eq!(without, whole);
    }

    #[test]
    fn garbage_and_later_versions_are_told_apart() {
        for garbage in ["", "hunter2", "{}", "[1]", r#"{"version":1}"#] {
            let read = QueuedEvent::read(garbage);
            assert_eq!(read, Err(UnreadableMessage::NotAnEvent), "{garbage}");
        }
        let later = QueuedEvent::read(r#"{"version":2,"events":[]}"#);
        assert_eq!(later, Err(UnreadableMessage::Version(2)));
    }
}
