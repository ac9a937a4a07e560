//! The events by which receivers of webhooks learn how a message ended. They have no content.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, json};
use shared::{
    messages::{Ending, Message, MessageRequest, MessageStatus},
    webhooks::Event,
};

/// How a message ended, as it stands in its row: the same event however often it is made.
pub fn of(message: &Message) -> Event {
    let ending = Ending {
        reason: message.reason.clone().map(Cow::Owned),
        errcode: message.errcode,
        ..Ending::new(message.status, None)
    };
    event(
        &Named {
            user: message.user.to_string(),
            id: message.id.to_string(),
            app: message.app_id.to_string(),
            kind: message.content.kind().as_str(),
            template: message.content.template_id().map(ToString::to_string),
        },
        &ending,
        message.updated_at,
    )
}

/// How an order ended that did not become a message.
pub fn of_order(order: &MessageRequest, ending: &Ending, at: Timestamp) -> Event {
    event(
        &Named {
            user: order.user.to_string(),
            id: order.id().to_string(),
            app: order.app_id.to_string(),
            kind: order.content.kind().as_str(),
            template: order.content.template_id().map(ToString::to_string),
        },
        ending,
        at,
    )
}

/// What names a message.
struct Named {
    user: String,
    id: String,
    app: String,
    kind: &'static str,
    template: Option<String>,
}

fn event(named: &Named, ending: &Ending, at: Timestamp) -> Event {
    let status = ending.status.as_str();
    let mut data = Map::new();
    data.insert("userId".into(), json!(named.user));
    data.insert("messageId".into(), json!(named.id));
    data.insert("type".into(), json!(named.kind));
    data.insert("appId".into(), json!(named.app));
    if let Some(template) = &named.template {
        data.insert("templateId".into(), json!(template));
    }
    data.insert("status".into(), json!(status));
    if let Some(reason) = &ending.reason {
        data.insert("reason".into(), json!(reason));
    }
    if let Some(errcode) = ending.errcode {
        data.insert("errcode".into(), json!(errcode));
    }
    // A message can end once; `unconfirmed` and `failed` are two endings of one type.
    Event::new(
        kind(ending.status),
        &[&named.user, &named.id, status],
        at,
        &data.into(),
    )
}

/// The type of the event of a final status.
fn kind(status: MessageStatus) -> &'static str {
    match status {
        MessageStatus::Sent => "message.sent",
        MessageStatus::Refused => "message.refused",
        _ => "message.failed",
    }
}
