//! Sends one message, and writes down what became of it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use shared::{
    clock::Clock,
    dynamo::DynamoError,
    ids::UserId,
    messages::{
        ClaimOutcome, Claimed, Content, Creation, Ending, Grant, Message, MessageId,
        MessageRequest, MessageStatus, Messages,
    },
    random::Random,
    request::{self, deadline},
    resilience::{
        Limiter,
        rate_limit::{Cost, Identity},
    },
    telemetry::metrics::{self, MessageOutcome},
    webhooks::{Event, Outbox, OutboxError},
    wechat::{AuthorizedWeChat, SubscribeMessage, WeChatError},
};

use crate::{
    announcement,
    outcome::{self, NotSent},
    pauses,
};

/// Time to claim a message, and to write down how it ended.
const WRITES: Duration = Duration::from_secs(4);
/// Time to write down how a message ended, even when WeChat took all of the invocation's.
const ENDING: Duration = Duration::from_secs(2);

/// A message that waited for so much longer than it is tried is not sent: nobody expects it any more.
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

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// It is at its end.
    Ended(MessageStatus),
    /// The same, and this attempt did not ask WeChat.
    Unasked(MessageStatus),
    /// It was at its end, of which nobody had been told.
    Told,
    /// It is at its end, because WeChat did not say whether it took it.
    Unanswered,
    /// It waits. Whether what it waits for is the same for all messages of its kind.
    Waits { is_general: bool },
    /// Its mini-program sends too many: there is room in this time. Nothing was written.
    Limited(Duration),
    /// Somebody else has it, or it is not due, or there is no time for it. Nothing was written.
    Left,
}

impl Worked {
    fn unasked(self) -> Self {
        match self {
            Self::Ended(status) => Self::Unasked(status),
            worked => worked,
        }
    }
}

/// A store failed. The message is as it was, or its claim runs out.
#[derive(Debug)]
pub enum SendError {
    Table(DynamoError),
    Announcement(OutboxError),
}

impl SendError {
    /// For the log and the metrics.
    pub fn report(&self, user_id: UserId, message_id: &MessageId) {
        let why = match self {
            Self::Table(error) => error.to_string(),
            Self::Announcement(error) => error.to_string(),
        };
        tracing::error!(
            request_id = request::id(),
            %user_id,
            %message_id,
            why,
            "a message can't be moved on"
        );
        metrics::message(MessageOutcome::NotStored);
    }
}

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

    /// Tells that an order did not become a message.
    pub async fn end_order(
        &self,
        order: &MessageRequest,
        reason: &'static str,
    ) -> Result<(), SendError> {
        let ending = Ending::new(MessageStatus::Failed, Some(reason));
        metrics::message(MessageOutcome::Failed);
        let now = self.0.clock.now();
        self.announce(announcement::of_order(order, &ending, now))
            .await
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
            // Whoever claimed it has ended without a word.
            MessageStatus::Sending => {
                let ending = Ending::new(MessageStatus::Unconfirmed, Some("interrupted"));
                self.end(message, ending, None).await.map(Worked::unasked)
            }
            // Whoever ended it did not come to tell it.
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
        // A call that is cut short would leave in doubt what is none yet.
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

    async fn not_claimed(
        &self,
        message: &Message,
        outcome: &ClaimOutcome,
    ) -> Result<Worked, SendError> {
        let ending = match outcome {
            ClaimOutcome::NoGrant => Ending::new(MessageStatus::Refused, Some("no_grant")),
            ClaimOutcome::Unreachable => {
                Ending::new(MessageStatus::Failed, Some("user_unreachable"))
            }
            // It is being deleted, which can be called off, or merged.
            ClaimOutcome::Barred => {
                let pause = pauses::Pause::Doubling;
                return self.put_off(message, ("account_barred", pause), None).await;
            }
            ClaimOutcome::Claimed(_) | ClaimOutcome::Taken => return Ok(Worked::Left),
        };
        self.end(message, ending, None).await.map(Worked::unasked)
    }

    /// What becomes of a message that `error` kept from being sent; `grant` is what its claim took.
    async fn not_sent(
        &self,
        message: &Message,
        not_sent: NotSent,
        error: &WeChatError,
        grant: Option<&Grant>,
    ) -> Result<Worked, SendError> {
        let (user_id, message_id, cause) = (message.user, &message.id, error.to_string());
        tracing::info!(
            request_id = request::id(), %user_id, %message_id, cause,
            "a message to a user is not sent"
        );
        match not_sent {
            NotSent::Refused(reason) => {
                let ending = Ending::new(MessageStatus::Refused, Some(reason));
                self.end(message, ending, None).await
            }
            NotSent::Unconfirmed(reason) => {
                let ending = Ending::new(MessageStatus::Unconfirmed, Some(reason));
                Ok(match self.end(message, ending, None).await? {
                    Worked::Ended(_) => Worked::Unanswered,
                    worked => worked,
                })
            }
            NotSent::Failed(reason, errcode) => {
                let ending = Ending::new(MessageStatus::Failed, Some(reason));
                self.end(message, Ending { errcode, ..ending }, grant).await
            }
            NotSent::Later(reason, pause) => self.put_off(message, (reason, pause), grant).await,
        }
    }

    /// Lets a message wait, or gives it up when it has waited for too long.
    async fn put_off(
        &self,
        message: &Message,
        (reason, pause): (&'static str, pauses::Pause),
        grant: Option<&Grant>,
    ) -> Result<Worked, SendError> {
        let parts = &*self.0;
        let (now, ordered_at) = (parts.clock.now(), message.created_at);
        if self.age(message) >= parts.give_up_after {
            let ending = Ending::new(MessageStatus::Failed, Some(reason));
            return self.end(message, ending, grant).await;
        }
        let next = pauses::next(pause, ordered_at, now, &parts.random);
        let put_off = parts.messages.put_off(message, next, reason, grant);
        if deadline::at_least(ENDING, put_off).await?.is_none() {
            return Ok(Worked::Left);
        }
        metrics::message(MessageOutcome::Retried);
        let (user_id, message_id) = (message.user, &message.id);
        tracing::info!(
            request_id = request::id(), %user_id, %message_id, reason, next = %next,
            "a message to a user waits"
        );
        let is_general = !matches!(reason, "too_many_calls" | "account_barred" | "no_time");
        Ok(Worked::Waits { is_general })
    }

    /// Writes down how a message ended, and tells it: in this order, so that what is told is what stands
    /// there. Until it has been told it stays among those that are due, so that nobody misses it; if it is
    /// told twice, then as the same event.
    async fn end(
        &self,
        message: &Message,
        ending: Ending,
        unused: Option<&Grant>,
    ) -> Result<Worked, SendError> {
        let parts = &*self.0;
        let untold = if parts.outbox.is_on() {
            let settled = parts.messages.settle_untold(message, &ending, unused);
            let Some(untold) = deadline::at_least(ENDING, settled).await? else {
                return Ok(Worked::Left);
            };
            Some(untold)
        } else {
            let settled = parts.messages.settle(message, &ending, unused);
            if !deadline::at_least(ENDING, settled).await? {
                return Ok(Worked::Left);
            }
            None
        };
        report(message, &ending);
        if let Some(untold) = &untold {
            self.tell(untold).await?;
        }
        Ok(Worked::Ended(ending.status))
    }

    /// Tells how a message ended, as it stands in the table.
    async fn tell(&self, ended: &Message) -> Result<(), SendError> {
        self.announce(announcement::of(ended)).await?;
        // Not written, if somebody else has told it, too, or the account is gone.
        deadline::at_least(ENDING, self.0.messages.told(ended)).await?;
        Ok(())
    }

    async fn announce(&self, event: Event) -> Result<(), SendError> {
        let announced = self.0.outbox.announce(vec![event]);
        let announced = deadline::at_least(ENDING, announced).await;
        announced.map_err(SendError::Announcement)
    }
}

/// Whether the invocation has so much time left.
fn is_left(needed: Duration) -> bool {
    deadline::remaining().is_none_or(|left| left >= needed)
}

fn report(message: &Message, ending: &Ending) {
    let (user_id, message_id, status) = (message.user, &message.id, ending.status.as_str());
    let (reason, errcode) = (ending.reason.as_deref(), ending.errcode);
    match ending.status {
        MessageStatus::Sent => {
            tracing::debug!(request_id = request::id(), %user_id, %message_id, "a message was sent");
        }
        MessageStatus::Refused => {
            tracing::info!(
                request_id = request::id(), %user_id, %message_id, status, reason,
                "a message to a user has ended unsent"
            );
        }
        _ => {
            tracing::warn!(
                request_id = request::id(), %user_id, %message_id, status, reason, errcode,
                "a message to a user has ended unsent"
            );
        }
    }
    metrics::message(match ending.status {
        MessageStatus::Sent => MessageOutcome::Sent,
        MessageStatus::Refused => MessageOutcome::Refused,
        MessageStatus::Unconfirmed => MessageOutcome::Unconfirmed,
        _ => MessageOutcome::Failed,
    });
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
