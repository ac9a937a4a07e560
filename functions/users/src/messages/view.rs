//! Messages as administrators see them: without what they say.

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    ids::{AppId, TemplateId},
    messages::{Message, MessageId, MessageKind, MessageStatus},
};

/// Messages to a user.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MessageList {
    /// The newest first. Of a user with more than 1,000 messages, any of them may be left out.
    pub messages: Vec<ListedMessage>,
    /// The cursor of the next page; none at the end.
    pub cursor: Option<String>,
}

/// A message to a user, without what it says.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "Message")
)]
#[serde(rename_all = "camelCase")]
pub struct ListedMessage {
    message_id: MessageId,
    r#type: MessageKind,
    app_id: AppId,
    /// The template of a subscribe message.
    template_id: Option<TemplateId>,
    status: MessageStatus,
    /// Why it was refused or failed, or why it waits: a word of docs/messages.md.
    reason: Option<String>,
    /// What WeChat answered where it refused the message itself.
    errcode: Option<i64>,
    /// How often a process began to send it, also where WeChat was not called in the end.
    attempts: u32,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    updated_at: Timestamp,
    /// When it is tried next; none once it has ended.
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "Option<String>", extend("format" = "date-time"))
    )]
    due_at: Option<Timestamp>,
}

impl From<Message> for ListedMessage {
    fn from(message: Message) -> Self {
        Self {
            r#type: message.content.kind(),
            template_id: message.content.template_id().cloned(),
            message_id: message.id,
            app_id: message.app_id,
            status: message.status,
            reason: message.reason,
            errcode: message.errcode,
            attempts: message.attempts,
            created_at: message.created_at,
            updated_at: message.updated_at,
            due_at: message.due_at.filter(|_| !message.status.is_final()),
        }
    }
}
