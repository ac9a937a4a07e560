//! How attempts end: the message waits, or it is at its end, of which somebody is told.

use std::time::Duration;

use shared::{
    messages::{ClaimOutcome, Ending, Grant, Message, MessageRequest, MessageStatus},
    request::{self, deadline},
    telemetry::metrics::{self, MessageOutcome},
    webhooks::Event,
    wechat::WeChatError,
};

use super::{SendError, Sender, Worked};
use crate::{announcement, outcome::NotSent, pauses};

/// Time to write down how a message ended, even when WeChat took all of the invocation's.
const ENDING: Duration = Duration::from_secs(2);

impl Sender {
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

    pub(super) async fn not_claimed(
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
    pub(super) async fn not_sent(
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
    pub(super) async fn put_off(
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
    pub(super) async fn end(
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
    pub(super) async fn tell(&self, ended: &Message) -> Result<(), SendError> {
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
