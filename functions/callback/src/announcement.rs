//! Tells receivers of webhooks that WeChat pushed a message (`docs/webhooks.md`).

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    api::ApiError,
    clock::Clock,
    ids::{OpenId, UserId},
    instance::Instance,
    users::Identities,
    webhooks::{Event, Outbox},
};

use crate::{
    push::{Event as Pushed, Push},
    settings::WEBHOOK_WECHAT_FIELDS,
};

/// Puts an event into the queue of webhooks, if there is one.
pub struct Announcement {
    outbox: Outbox,
    identities: Identities,
    clock: Clock,
    /// `WEBHOOK_WECHAT_FIELDS`.
    with_fields: bool,
}

impl Announcement {
    pub fn new(instance: &Instance) -> Self {
        Self {
            outbox: instance.webhook_outbox(),
            identities: Identities::new(instance.dynamo()),
            clock: instance.clock(),
            with_fields: WEBHOOK_WECHAT_FIELDS.read(instance.env()),
        }
    }

    /// The event of a message; none where there are no webhooks. To be asked for before the message is
    /// handled: whom it is about is known only until that is deleted. A repeated delivery of the message
    /// is the same event.
    pub async fn event_of(&self, push: &Push) -> Result<Option<Event>, ApiError> {
        if !self.outbox.is_on() {
            return Ok(None);
        }
        let user = self.user_of(push).await?;
        let kind = format!("wechat.{}", push.kind().to_ascii_lowercase());
        let at = sent_at(push).unwrap_or_else(|| self.clock.now());
        let data = data(push, user, self.with_fields);
        Ok(Some(Event::new(&kind, &[&push.id()], at, &data)))
    }

    /// Hands the event over, to the queue or else to the table.
    pub async fn announce(&self, event: Event) -> Result<(), ApiError> {
        Ok(self.outbox.announce(vec![event]).await?)
    }

    /// The user whom the message is about, if there is one and they are known.
    async fn user_of(&self, push: &Push) -> Result<Option<UserId>, ApiError> {
        let Some(open_id) = open_id_of(push) else {
            return Ok(None);
        };
        let identity = self.identities.find(&push.app_id, &open_id).await?;
        Ok(identity.map(|identity| identity.user))
    }
}

/// Whom a message is about: of an event that WeChat sends itself, whom it names; else its sender.
fn open_id_of(push: &Push) -> Option<OpenId> {
    match &push.event {
        Pushed::AuthorizationRevoked { open_id, .. }
        | Pushed::UserInfoModified { open_id }
        | Pushed::AuthorizationCancelled { open_id }
        | Pushed::Text { open_id, .. }
        | Pushed::Image { open_id, .. } => Some(open_id.clone()),
        Pushed::MediaChecked(_) | Pushed::DebugDemo { .. } => None,
        Pushed::Unknown => push.text("FromUserName")?.trim().parse().ok(),
    }
}

/// When WeChat made the message.
fn sent_at(push: &Push) -> Option<Timestamp> {
    let seconds = push.text("CreateTime")?.trim().parse().ok()?;
    Timestamp::from_second(seconds).ok()
}

/// Openids, and what users wrote, only where that was asked for, and never of a message that demands to
/// delete them.
fn data(push: &Push, user: Option<UserId>, with_fields: bool) -> Value {
    let mut data = json!({"appId": push.app_id.as_str(), "kind": push.kind(), "userId": user});
    if with_fields
        && !push.event.deletes()
        && let Some(data) = data.as_object_mut()
    {
        data.insert("fields".to_owned(), Value::Object(push.fields.clone()));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(message: &str) -> Push {
        Push::read("wx1".parse().unwrap(), message).unwrap()
    }

    const TEXT: &str = r#"{"ToUserName":"gh","FromUserName":"oSecret","CreateTime":1482048670,"MsgType":"text","Content":"private","MsgId":1234567890123456}"#;

    #[test]
    fn an_event_has_no_openid_and_no_content_unless_that_is_asked_for() {
        let push = push(TEXT);
        let expected = json!({"appId": "wx1", "kind": "text", "userId": null});
        assert_eq!(data(&push, None, false), expected);
        let with_fields = data(&push, None, true);
        assert_eq!(with_fields["fields"]["Content"], "private");
        assert_eq!(with_fields["fields"]["FromUserName"], "oSecret");
    }

    #[test]
    fn a_message_that_demands_a_deletion_never_has_its_openid() {
        let cancelled = r#"{"FromUserName":"oWeChat","CreateTime":1,"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oSecret"}"#;
        let data = data(&push(cancelled), None, true).to_string();
        assert!(!data.contains("oSecret"), "{data}");
    }

    #[test]
    fn a_message_is_about_its_sender_and_an_event_about_whom_it_names() {
        let of = |message: &str| open_id_of(&push(message)).map(|id| id.to_string());
        assert_eq!(of(TEXT).as_deref(), Some("oSecret"));
        let revoked = r#"{"FromUserName":"oWeChat","CreateTime":1,"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oUser","RevokeInfo":"8"}"#;
        assert_eq!(of(revoked).as_deref(), Some("oUser"));
        let demo =
            r#"{"FromUserName":"oX","MsgType":"event","Event":"debug_demo","debug_str":"x"}"#;
        assert_eq!(of(demo), None);
    }

    #[test]
    fn the_time_is_that_of_the_message() {
        let at = sent_at(&push(TEXT)).unwrap();
        assert_eq!(at.as_second(), 1_482_048_670);
        assert_eq!(sent_at(&push(r#"{"MsgType":"text"}"#)), None);
    }
}
