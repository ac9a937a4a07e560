//! Claims: who sends a message has claimed it, together with the grant that it uses up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Grant, Message, MessageStatus, Messages, grants};
use crate::{
    dynamo::{self, DynamoError, TransactionOutcome, Update, Write},
    ids::OpenId,
    users::{Recipient, rows::account_in_use},
};

/// How long a claim holds: longer than any process sends a message, and longer than it takes to tell how
/// the message ended.
pub(super) const CLAIM: Duration = Duration::from_mins(2);

/// What became of an attempt to claim a message.
#[derive(Debug)]
pub enum ClaimOutcome {
    /// The caller sends it now, and nobody else does.
    Claimed(Box<Claimed>),
    /// The user agreed to no message of its template that is not used up. Nothing was written.
    NoGrant,
    /// The user is no longer known in the mini-program. Nothing was written.
    Unreachable,
    /// The account is barred: it is being deleted or merged. Nothing was written.
    Barred,
    /// The message is not as it was read: somebody else claimed or ended it, or it is gone with its
    /// account.
    Taken,
}

/// A message that its holder sends, within two minutes.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// As it is now.
    pub message: Message,
    /// To whom.
    pub open_id: OpenId,
    /// The grant that it uses up: of a subscribe message.
    pub grant: Option<Grant>,
}

impl Messages {
    /// Claims a message that waits, as it was read; of a subscribe message with the oldest grant of its
    /// template, in one transaction. It has to be ended with [`settle`](Self::settle) or
    /// [`put_off`](Self::put_off).
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's. After
    /// [`DynamoError::Unavailable`] it can be claimed: then it is ended when the claim has run out.
    pub async fn claim(&self, message: &Message) -> Result<ClaimOutcome, DynamoError> {
        let (MessageStatus::Queued, Some(_)) = (message.status, message.due_at) else {
            return Ok(ClaimOutcome::Taken);
        };
        let attempt = || self.try_claim(message);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }

    async fn try_claim(&self, message: &Message) -> Result<ClaimOutcome, DynamoError> {
        let recipient = self.identities.recipient(message.user, &message.app_id);
        let known = match recipient.await? {
            Recipient::NoAccount => return Ok(ClaimOutcome::Taken),
            Recipient::Barred => return Ok(ClaimOutcome::Barred),
            Recipient::Unreachable => return Ok(ClaimOutcome::Unreachable),
            Recipient::Known(known) => known,
        };
        let Some(template) = message.content.template_id() else {
            let last_used = self.identities.last_used(&message.app_id, known).await?;
            return match last_used {
                Some(open_id) => self.write_claim(message, open_id, None).await,
                None => Ok(ClaimOutcome::Unreachable),
            };
        };
        let dynamo = &self.dynamo;
        let grants = grants::of_user(dynamo, message.user, &message.app_id, Some(template));
        let grants = grants.await?.into_iter();
        let now = self.clock.now_seconds();
        let usable = grants.filter(|grant| grant.is_usable(now) && known.contains(&grant.open_id));
        match usable.min_by(|one, other| one.age().cmp(&other.age())) {
            None => Ok(ClaimOutcome::NoGrant),
            Some(grant) => {
                let open_id = grant.open_id.clone();
                self.write_claim(message, open_id, Some(grant)).await
            }
        }
    }

    async fn write_claim(
        &self,
        message: &Message,
        open_id: OpenId,
        grant: Option<Grant>,
    ) -> Result<ClaimOutcome, DynamoError> {
        let now = self.clock.now();
        let claimed = self.claimed(message, now);
        let mut writes = vec![
            Write::Update(claim_of(message, &claimed)),
            account_in_use(message.user),
        ];
        writes.extend(grant.as_ref().map(|grant| grant.use_for(&claimed, now)));
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(ClaimOutcome::Claimed(Box::new(Claimed {
                message: claimed,
                open_id,
                grant,
            }))),
            TransactionOutcome::ConditionFailed(failed) if failed.contains(&0) => {
                Ok(ClaimOutcome::Taken)
            }
            // The account was barred, or another message took the grant: the next look tells.
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    fn claimed(&self, message: &Message, now: Timestamp) -> Message {
        let until = now.checked_add(SignedDuration::try_from(CLAIM).unwrap_or_default());
        Message {
            status: MessageStatus::Sending,
            claim: Some(hex::encode(self.random.bytes::<16>())),
            attempts: message.attempts.saturating_add(1),
            due_at: Some(until.unwrap_or(now)),
            updated_at: now,
            ..message.clone()
        }
    }
}

/// The update of the row.
fn claim_of(read: &Message, claimed: &Message) -> Update {
    let due_at = claimed.due_at.unwrap_or(claimed.updated_at);
    let set = "SET #status = :status, claim = :claim, attempts = :attempts, dueAt = :due, \
               gsi1sk = :place, updatedAt = :now";
    Update::new(read.key(), set, read.as_read())
        .value(":status", dynamo::string(claimed.status.as_str()))
        .value(
            ":claim",
            dynamo::string(claimed.claim.clone().unwrap_or_default()),
        )
        .value(":attempts", dynamo::number(claimed.attempts))
        .value(":due", dynamo::string(due_at.to_string()))
        .value(":place", dynamo::string(claimed.place(due_at)))
        .value(":now", dynamo::string(claimed.updated_at.to_string()))
}
