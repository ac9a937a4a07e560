//! Sends one message, and writes down what became of it.

mod ending;
mod worked;

use std::{borrow::Cow, sync::Arc, time::Duration};

use shared::{
    clock::Clock,
    dynamo::DynamoError,
    ids::UserId,
    messages::{
        ClaimOutcome, Claimed, Content, Creation, Ending, Message, MessageId, MessageRequest,
        MessageStatus, Messages,
    },
    random::Random,
    request::deadline,
    resilience::{
        Limiter,
        rate_limit::{Cost, Identity},
    },
    webhooks::Outbox,
    wechat::{AuthorizedWeChat, SubscribeMessage, WeChatError},
};

use crate::{outcome, pauses};
pub use worked::{SendError, Worked};

/// Time to claim a message, and to write down how it ended.
const WRITES: Duration = Duration::from_secs(4);
/// A message that waited for so much longer than it is tried is not sent: nobody expects it by then.
const STALE_AFTER: Duration = Duration::from_hours(1);

/// What [`Sender`] needs.
pub struct SenderParts {
    pub messages: Messages,
    pub wechat: AuthorizedWeChat,
    /// The time-out of a call to WeChat.
    pub call_timeout: Duration,
    pub limiter: Limiter,
    /// What a message costs its mini-program.
    pub cost: Option<Cost>,
    pub outbox: Outbox,
    pub clock: Clock,
    pub random: Random,
    /// How long a message is tried after it was ordered.
    pub give_up_after: Duration,
}

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<SenderParts>);

impl Sender {
    pub fn new(parts: SenderParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The store.
    pub fn messages(&self) -> &Messages {
        &self.0.messages
    }

    /// The same messages in any order.
    pub fn shuffled(&self, mut messages: Vec<Message>) -> Vec<Message> {
        messages.sort_by_cached_key(|_| self.0.random.bytes::<8>());
        messages
    }

    pub async fn find(&self, user: UserId, id: &MessageId) -> Result<Option<Message>, DynamoError> {
        self.0.messages.get(user, id).await
    }

    pub async fn record(&self, order: &MessageRequest) -> Result<Creation, DynamoError> {
        self.0.messages.create(order).await
    }

    /// Whether there is time to send a message and to write down how it ended.
    pub fn has_time(&self) -> bool {
        is_left(self.0.call_timeout + WRITES)
    }

    /// Does what is due with a message, as it was read.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn work_on(&self, message: &Message) -> Result<Worked, SendError> {
        let now = self.0.clock.now();
        if message.due_at.is_none_or(|due| due > now) || !self.has_time() {
            return Ok(Worked::Left);
        }
        match message.status {
            MessageStatus::Queued if self.is_stale(message) => self.expire(message).await,
            MessageStatus::Queued => self.send(message).await,
            // The process that claimed it ended before it wrote the outcome.
            MessageStatus::Sending => {
                let ending = Ending::new(MessageStatus::Unconfirmed, Some("interrupted"));
                self.end(message, ending, None).await.map(Worked::unasked)
            }
            // The process that wrote the outcome ended before it announced it.
            _ => self.tell(message).await.map(|()| Worked::Told),
        }
    }

    /// How long it has been due.
    pub fn due_for(&self, message: &Message) -> Duration {
        let now = self.0.clock.now();
        let due_for = now.duration_since(message.due_at.unwrap_or(now));
        Duration::try_from(due_for).unwrap_or_default()
    }

    /// How long ago it was ordered.
    fn age(&self, message: &Message) -> Duration {
        let age = self.0.clock.now().duration_since(message.created_at);
        Duration::try_from(age).unwrap_or_default()
    }

    fn is_stale(&self, message: &Message) -> bool {
        self.age(message) >= self.0.give_up_after.saturating_add(STALE_AFTER)
    }

    /// Ends a message that nobody came to for too long.
    async fn expire(&self, message: &Message) -> Result<Worked, SendError> {
        let reason = message.reason.clone().map(Cow::Owned);
        let ending = Ending {
            reason: reason.or(Some(Cow::Borrowed("expired"))),
            ..Ending::new(MessageStatus::Failed, None)
        };
        self.end(message, ending, None).await.map(Worked::unasked)
    }

    async fn send(&self, message: &Message) -> Result<Worked, SendError> {
        let parts = &*self.0;
        let app = Identity::app(&message.app_id);
        if let Err(denied) = parts.limiter.charge(app, parts.cost).await {
            return Ok(Worked::Limited(denied.retry_after));
        }
        // Before the claim: what fails here has sent nothing.
        if let Err(error) = parts.wechat.prepare(&message.app_id).await {
            let not_sent = outcome::before_sending(&error);
            return self.not_sent(message, not_sent, &error, None).await;
        }
        if !self.has_time() {
            return Ok(Worked::Left);
        }
        let claimed = match parts.messages.claim(message).await? {
            ClaimOutcome::Claimed(claimed) => claimed,
            ClaimOutcome::Taken => return Ok(Worked::Left),
            outcome => return self.not_claimed(message, &outcome).await,
        };
        self.send_claimed(&claimed).await
    }

    async fn send_claimed(&self, claimed: &Claimed) -> Result<Worked, SendError> {
        let (message, grant) = (&claimed.message, claimed.grant.as_ref());
        // A call that is cut short would leave the outcome in doubt; so far nothing was sent.
        if !is_left(self.0.call_timeout) {
            let why = ("no_time", pauses::Pause::Doubling);
            return self.put_off(message, why, grant).await;
        }
        match self.call(claimed).await {
            Ok(()) => {
                let ending = Ending::new(MessageStatus::Sent, None);
                self.end(message, ending, None).await
            }
            Err(error) => {
                let not_sent = outcome::of(&error);
                self.not_sent(message, not_sent, &error, grant).await
            }
        }
    }

    async fn call(&self, claimed: &Claimed) -> Result<(), WeChatError> {
        let (wechat, message) = (&self.0.wechat, &claimed.message);
        let to = (&message.app_id, &claimed.open_id);
        match &message.content {
            Content::Subscribe(content) => {
                let subscribe = SubscribeMessage {
                    template_id: content.template_id.as_str(),
                    page: content.page.as_deref(),
                    data: &content.data,
                    state: content.miniprogram_state,
                    language: content.lang,
                };
                wechat.send_subscribe_message(to.0, to.1, &subscribe).await
            }
            Content::CustomerService { message } => {
                wechat.send_custom_message(to.0, to.1, message).await
            }
        }
    }
}

/// Whether the invocation has so much time left.
fn is_left(needed: Duration) -> bool {
    deadline::remaining().is_none_or(|left| left >= needed)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_left_until_the_deadline() {
        let second = Duration::from_secs(1);
        assert!(is_left(1000 * second), "there is no deadline");
        deadline::scope(Some(Instant::now() + 3 * second), async {
            assert!(is_left(3 * second));
            tokio::time::advance(second).await;
            assert!(is_left(2 * second) && !is_left(3 * second));
        })
        .await;
    }
}
