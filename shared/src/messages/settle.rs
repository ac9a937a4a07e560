//! How attempts end.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::{Grant, Message, MessageStatus, Messages, claim::CLAIM};
use crate::dynamo::{
    self, Condition, DynamoError, TransactionOutcome, Update, Write, WriteOutcome,
};

/// How a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// A final status.
    pub status: MessageStatus,
    /// Why, as a stable word.
    pub reason: Option<Cow<'static, str>>,
    /// What WeChat answered, where it refused the message itself.
    pub errcode: Option<i64>,
}

impl Ending {
    /// This status, for this reason.
    #[must_use]
    pub fn new(status: MessageStatus, reason: Option<&'static str>) -> Self {
        Self {
            status,
            reason: reason.map(Cow::Borrowed),
            errcode: None,
        }
    }
}

impl Message {
    /// The row is as this was read.
    pub(super) fn as_read(&self) -> Condition {
        let claim = match &self.claim {
            Some(_) => "claim = :read_claim",
            None => "attribute_not_exists(claim)",
        };
        let due_at = match &self.due_at {
            Some(_) => "dueAt = :read_due",
            None => "attribute_not_exists(dueAt)",
        };
        let expression = format!("#status = :read_status AND {due_at} AND {claim}");
        let mut condition = Condition::new(expression)
            .name("#status", "status")
            .value(":read_status", dynamo::string(self.status.as_str()));
        if let Some(claim) = &self.claim {
            condition = condition.value(":read_claim", dynamo::string(claim));
        }
        if let Some(due_at) = &self.due_at {
            condition = condition.value(":read_due", dynamo::string(due_at.to_string()));
        }
        condition
    }
}

impl Messages {
    /// Ends a message, as it was read or claimed; the grant of a claim that was not used up is given back
    /// with it. Whether it was: not if somebody else did, or the message is gone with its account.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's.
    pub async fn settle(
        &self,
        message: &Message,
        ending: &Ending,
        unused: Option<&Grant>,
    ) -> Result<bool, DynamoError> {
        let update = end_of(message, ending, self.clock.now(), None);
        self.write(message, update, unused).await
    }

    /// The same for a message whose end somebody has to be told: until [`told`](Self::told) it stays among
    /// those that are due, two minutes later. The message as it is now; none as with
    /// [`settle`](Self::settle).
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn settle_untold(
        &self,
        message: &Message,
        ending: &Ending,
        unused: Option<&Grant>,
    ) -> Result<Option<Message>, DynamoError> {
        let now = self.clock.now();
        let until = now.checked_add(SignedDuration::try_from(CLAIM).unwrap_or_default());
        let due_at = until.unwrap_or(now);
        let update = end_of(message, ending, now, Some(due_at));
        let is_written = self.write(message, update, unused).await?;
        Ok(is_written.then(|| Message {
            status: ending.status,
            reason: ending.reason.as_deref().map(str::to_owned),
            errcode: ending.errcode.or(message.errcode),
            due_at: Some(due_at),
            updated_at: now,
            claim: None,
            ..message.clone()
        }))
    }

    /// The end of this message has been told. Whether that is written: not if somebody else did, or the
    /// message is gone with its account.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn told(&self, message: &Message) -> Result<bool, DynamoError> {
        let change = "REMOVE dueAt, gsi1pk, gsi1sk";
        let update = Update::new(message.key(), change, message.as_read());
        self.write(message, update, None).await
    }

    /// Lets a message wait until `due_at`, for this reason, as it was read or claimed; the grant of a
    /// claim is given back with it. The message as it is now; none as with [`settle`](Self::settle).
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn put_off(
        &self,
        message: &Message,
        due_at: Timestamp,
        reason: &'static str,
        unused: Option<&Grant>,
    ) -> Result<Option<Message>, DynamoError> {
        let now = self.clock.now();
        let set = "SET #status = :status, dueAt = :due, gsi1sk = :place, reason = :reason, \
                   updatedAt = :now REMOVE claim";
        let status = MessageStatus::Queued;
        let update = Update::new(message.key(), set, message.as_read())
            .value(":status", dynamo::string(status.as_str()))
            .value(":due", dynamo::string(due_at.to_string()))
            .value(":place", dynamo::string(message.place(due_at)))
            .value(":reason", dynamo::string(reason))
            .value(":now", dynamo::string(now.to_string()));
        let is_written = self.write(message, update, unused).await?;
        Ok(is_written.then(|| Message {
            status,
            due_at: Some(due_at),
            reason: Some(reason.to_owned()),
            updated_at: now,
            claim: None,
            ..message.clone()
        }))
    }

    /// The update, and the grant given back, all or nothing.
    async fn write(
        &self,
        message: &Message,
        update: Update,
        unused: Option<&Grant>,
    ) -> Result<bool, DynamoError> {
        let Some(grant) = unused else {
            let written = self.dynamo.update(update).await?;
            return Ok(matches!(written, WriteOutcome::Written(_)));
        };
        let back = grant.give_back(message);
        let attempt = || async {
            let writes = vec![Write::Update(update.clone()), back.clone()];
            match self.dynamo.transact(writes).await? {
                TransactionOutcome::Written => Ok(true),
                TransactionOutcome::ConditionFailed(failed) if failed.contains(&0) => Ok(false),
                // The grant is gone; the message still has to end.
                TransactionOutcome::ConditionFailed(_) => {
                    let written = self.dynamo.update(update.clone()).await?;
                    Ok(matches!(written, WriteOutcome::Written(_)))
                }
            }
        };
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        self.dynamo.retry_conflicts(attempt, is_conflict).await
    }
}

/// The update that ends a message; with `told_by` it is due then if its end has not been told.
fn end_of(
    message: &Message,
    ending: &Ending,
    now: Timestamp,
    told_by: Option<Timestamp>,
) -> Update {
    let mut set = "SET #status = :status, updatedAt = :now".to_owned();
    let mut remove = " REMOVE claim".to_owned();
    match told_by {
        Some(_) => set.push_str(", dueAt = :due, gsi1sk = :place"),
        None => remove.push_str(", dueAt, gsi1pk, gsi1sk"),
    }
    match ending.reason {
        Some(_) => set.push_str(", reason = :reason"),
        None => remove.push_str(", reason"),
    }
    if ending.errcode.is_some() {
        set.push_str(", errcode = :errcode");
    }
    let mut update = Update::new(message.key(), set + &remove, message.as_read())
        .value(":status", dynamo::string(ending.status.as_str()))
        .value(":now", dynamo::string(now.to_string()));
    if let Some(due_at) = told_by {
        update = update
            .value(":due", dynamo::string(due_at.to_string()))
            .value(":place", dynamo::string(message.place(due_at)));
    }
    if let Some(reason) = &ending.reason {
        update = update.value(":reason", dynamo::string(reason.as_ref()));
    }
    if let Some(errcode) = ending.errcode {
        update = update.value(":errcode", dynamo::number(errcode));
    }
    update
}
