//! A message, and the row that it is: `USER#{uid}` / `MESSAGE#{id}`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Content, MessageId, MessageKind, MessageRequest, MessageStatus};
use crate::{
    dynamo::{self, DynamoError, Item},
    ids::{AppId, TemplateId, UserId},
    users::rows::{MESSAGE, user_pk},
};

/// How partitions of the index begin; a mini-program follows.
const DUE_PARTITION: &str = "MESSAGE_DUE#";

/// A message. `Debug` does not show what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who gets it.
    pub user: UserId,
    /// In which mini-program.
    pub app_id: AppId,
    /// What it says.
    pub content: Content,
    /// How far it is.
    pub status: MessageStatus,
    /// Why it is refused or failed, or why it waits: a stable word.
    pub reason: Option<String>,
    /// What WeChat answered where it refused the message itself.
    pub errcode: Option<i64>,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
    /// When it is to be sent; of one that a process is sending, when its claim ends; of a
    /// final one, when its end is told, until it has been.
    pub due_at: Option<Timestamp>,
    /// Tells the order from others with the same key.
    pub(super) digest: String,
    /// The id of the claim of a process that is sending it.
    pub(super) claim: Option<String>,
    /// When the row expires, in seconds since the epoch.
    pub(super) ttl: i64,
}

/// Its attributes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: MessageId,
    digest: String,
    r#type: MessageKind,
    app_id: AppId,
    template_id: Option<TemplateId>,
    content: String,
    status: MessageStatus,
    reason: Option<String>,
    errcode: Option<i64>,
    attempts: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
    due_at: Option<Timestamp>,
    claim: Option<String>,
    ttl: i64,
}

impl Message {
    /// What was ordered, due at once.
    pub(super) fn new(request: &MessageRequest, now: Timestamp, ttl: i64) -> Self {
        Self {
            id: request.id(),
            user: request.user,
            app_id: request.app_id.clone(),
            content: request.content.clone(),
            status: MessageStatus::Queued,
            reason: None,
            errcode: None,
            attempts: 0,
            created_at: now,
            updated_at: now,
            due_at: Some(now),
            digest: request.digest(),
            claim: None,
            ttl,
        }
    }

    pub(super) fn key(&self) -> Item {
        dynamo::key(&user_pk(self.user), &message_sk(&self.id))
    }

    /// The whole row, which the index has while the message is not final.
    pub(super) fn to_item(&self) -> Result<Item, DynamoError> {
        let content = serde_json::to_string(&self.content).map_err(DynamoError::unwritable)?;
        let row = Row {
            id: self.id.clone(),
            digest: self.digest.clone(),
            r#type: self.content.kind(),
            app_id: self.app_id.clone(),
            template_id: self.content.template_id().cloned(),
            content,
            status: self.status,
            reason: self.reason.clone(),
            errcode: self.errcode,
            attempts: self.attempts,
            created_at: self.created_at,
            updated_at: self.updated_at,
            due_at: self.due_at,
            claim: self.claim.clone(),
            ttl: self.ttl,
        };
        let mut item = dynamo::to_item(&user_pk(self.user), &message_sk(&self.id), &row)?;
        if let Some(due_at) = self.due_at {
            item.insert("gsi1pk".into(), dynamo::string(due_partition(&self.app_id)));
            item.insert("gsi1sk".into(), dynamo::string(self.place(due_at)));
        }
        Ok(item)
    }

    /// The row of a user.
    pub(super) fn from_item(user: UserId, item: Item) -> Result<Self, DynamoError> {
        let row: Row = dynamo::from_item(item)?;
        let content = serde_json::from_str(&row.content);
        // Nothing of it may be quoted.
        let content = content.map_err(|_| DynamoError::unreadable("content"))?;
        Ok(Self {
            id: row.id,
            user,
            app_id: row.app_id,
            content,
            status: row.status,
            reason: row.reason,
            errcode: row.errcode,
            attempts: row.attempts,
            created_at: row.created_at,
            updated_at: row.updated_at,
            due_at: row.due_at,
            digest: row.digest,
            claim: row.claim,
            ttl: row.ttl,
        })
    }

    /// Its place in the index when it is due at this time.
    pub(super) fn place(&self, due_at: Timestamp) -> String {
        format!("{due_at:.3}#{}#{}", self.user, self.id)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("status", &self.status)
            .field("due_at", &self.due_at)
            .finish_non_exhaustive()
    }
}

/// The sort key of a message in its user's partition.
pub(super) fn message_sk(id: &MessageId) -> String {
    format!("{}{id}", MESSAGE.sk)
}

/// The partition of the index that has the messages of a mini-program that are not final.
pub(super) fn due_partition(app_id: &AppId) -> String {
    format!("{DUE_PARTITION}{app_id}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> Message {
        let content =
            json!({"type": "customer_service", "message": {"kind": "text", "content": "secret"}});
        let request = MessageRequest {
            key: "12345678".parse().unwrap(),
            user: "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap(),
            app_id: "wx1".parse().unwrap(),
            content: serde_json::from_value(content).unwrap(),
        };
        let now = "2026-11-27T01:02:03.004Z".parse().unwrap();
        Message::new(&request, now, 7)
    }

    #[test]
    fn the_row_is_as_documented() {
        let message = message();
        let item = message.to_item().unwrap();
        let text = |name: &str| item[name].as_s().unwrap().as_str();
        assert_eq!(text("sk"), format!("MESSAGE#{}", message.id));
        assert_eq!(text("gsi1pk"), "MESSAGE_DUE#wx1");
        let place = format!("2026-11-27T01:02:03.004Z#{}#{}", message.user, message.id);
        assert_eq!(text("gsi1sk"), place);
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        let wanted = [
            "appId",
            "attempts",
            "content",
            "createdAt",
            "digest",
            "dueAt",
            "gsi1pk",
            "gsi1sk",
            "id",
            "pk",
            "sk",
            "status",
            "ttl",
            "type",
            "updatedAt",
        ];
        assert_eq!(names, wanted);
        assert_eq!(Message::from_item(message.user, item).unwrap(), message);
    }

    #[test]
    fn neither_debug_nor_an_unreadable_row_shows_what_it_says() {
        let message = message();
        assert!(!format!("{message:?}").contains("secret"));
        let mut item = message.to_item().unwrap();
        item.insert("content".into(), dynamo::string(r#"{"type":"secret"}"#));
        let error = Message::from_item(message.user, item).unwrap_err();
        assert!(error.is_about_the_row());
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
