//! Moving the row of a saga that this process has.

use std::{iter, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::{
    Direction, Entry, FREE, Hold, LONGEST_LEASE, Outcome, Sagas, key, listed_at, millis, owner_of,
};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write, WriteOutcome},
    request::deadline,
    saga::{Saga, SagaId},
};

/// How long giving a saga back may take, also when the request's time is over: without, the next
/// process waits until the lease has expired.
const GIVE_BACK: Duration = Duration::from_millis(500);

impl Sagas {
    /// Ends the wait of a saga, which goes on about `subject` instead. Not while a process has it.
    pub(in crate::saga) async fn end_wait<S: Saga>(
        &self,
        id: &SagaId,
        subject: &S::Subject,
    ) -> Result<(), DynamoError> {
        let subject = serde_dynamo::to_attribute_value(subject);
        let now = self.clock.now().as_millisecond();
        let condition = Condition::new(format!("{FREE} AND attribute_exists(notBefore)"))
            .value(":kind", dynamo::string(S::KIND))
            .value(":impossible", dynamo::number(now + millis(LONGEST_LEASE)));
        let update = Update::new(
            key(id),
            "SET subject = :subject, gsi1sk = :due REMOVE notBefore",
            condition,
        );
        let update = update
            .value(":now", dynamo::number(now))
            .value(":due", listed_at(self.clock.now(), id))
            .value(":subject", subject.map_err(DynamoError::unwritable)?);
        self.dynamo.update(update).await.map(drop)
    }

    /// Moves a saga on, if this process still has it where it stood. Whether it has.
    pub(in crate::saga) async fn advance<T>(
        &self,
        hold: &mut Hold<T>,
        position: usize,
        direction: Direction,
    ) -> Result<bool, DynamoError> {
        let update = self
            .update(
                hold,
                "SET #position = :position, direction = :direction, leaseUntil = :until, updatedAt = :now \
                 REMOVE failure, notBefore",
            )
            .value(":position", number_of(position)?)
            .value(":direction", direction.into())
            .value(":until", self.lease_end());
        let is_ours = match self.dynamo.update(update).await? {
            WriteOutcome::Written(_) => true,
            // Whether it was moved there by this process, and the answer was lost.
            WriteOutcome::ConditionFailed(Some(row)) if owner_of(&row) == Some(&hold.owner) => {
                let entry: Entry = dynamo::from_item(row)?;
                (entry.position, entry.direction) == (position, direction)
            }
            WriteOutcome::ConditionFailed(_) => false,
        };
        if is_ours {
            (hold.position, hold.direction) = (position, direction);
        }
        Ok(is_ours)
    }

    /// Gives a saga back, to be continued by the next process that finds it: at once, or from a time
    /// on; with the reason, if its step failed.
    pub(in crate::saga) async fn give_back<T>(
        &self,
        hold: &Hold<T>,
        not_before: Option<Timestamp>,
        failure: Option<&str>,
    ) -> Result<(), DynamoError> {
        let mut set = "SET updatedAt = :now".to_owned();
        if not_before.is_some() {
            // Among the others it stands where it is due.
            set.push_str(", notBefore = :notBefore, gsi1sk = :due");
        }
        if failure.is_some() {
            set.push_str(", failure = :failure");
        }
        let mut update = self.update(hold, &format!("{set} REMOVE #owner, leaseUntil"));
        if let Some(time) = not_before {
            update = update
                .value(":notBefore", dynamo::number(time.as_second()))
                .value(":due", listed_at(time, &hold.id));
        }
        if let Some(failure) = failure {
            update = update.value(":failure", dynamo::string(failure));
        }
        deadline::at_least(GIVE_BACK, self.dynamo.update(update))
            .await
            .map(drop)
    }

    /// Ends a saga, with what is written together with its end: what it was about is forgotten, and its
    /// row expires. Whether this process still had it.
    pub(in crate::saga) async fn end<T>(
        &self,
        hold: &Hold<T>,
        outcome: Outcome,
        closing: Vec<Write>,
    ) -> Result<bool, DynamoError> {
        if !closing.is_empty() {
            let writes = iter::once(Write::Update(self.ending(hold, outcome)));
            let writes: Vec<_> = writes.chain(closing).collect();
            let attempt = || self.dynamo.transact(writes.clone());
            let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
            let written = self.dynamo.retry_conflicts(attempt, is_conflict).await?;
            if let TransactionOutcome::Written = written {
                return Ok(true);
            }
        }
        match self.dynamo.update(self.ending(hold, outcome)).await? {
            WriteOutcome::Written(_) => Ok(true),
            // Whether it has ended so; then the answer was lost.
            WriteOutcome::ConditionFailed(Some(row)) => {
                let entry: Entry = dynamo::from_item(row)?;
                Ok(entry.outcome == Some(outcome))
            }
            WriteOutcome::ConditionFailed(None) => Ok(false),
        }
    }

    fn ending<T>(&self, hold: &Hold<T>, outcome: Outcome) -> Update {
        let expires = self.clock.now_seconds() + millis(self.retention) / 1000;
        self.update(
            hold,
            "SET outcome = :outcome, #ttl = :ttl, updatedAt = :now \
             REMOVE subject, #owner, leaseUntil, notBefore, failure, gsi1pk, gsi1sk",
        )
        .name("#ttl", "ttl")
        .value(":outcome", outcome.into())
        .value(":ttl", dynamo::number(expires))
    }

    /// An update of a row that stands where this process left it.
    fn update<T>(&self, hold: &Hold<T>, expression: &str) -> Update {
        let ours = Condition::new(
            "#owner = :owner AND #position = :here AND direction = :heading AND attribute_not_exists(outcome)",
        );
        let here = i64::try_from(hold.position).unwrap_or(i64::MAX);
        Update::new(key(&hold.id), expression, ours)
            .name("#owner", "owner")
            .name("#position", "position")
            .value(":owner", dynamo::string(&hold.owner))
            .value(":here", dynamo::number(here))
            .value(":heading", hold.direction.into())
            .value(":now", dynamo::string(self.clock.now().to_string()))
            .returning_old_on_failure()
    }
}

fn number_of(position: usize) -> Result<AttributeValue, DynamoError> {
    let position = i64::try_from(position).map_err(DynamoError::unwritable)?;
    Ok(dynamo::number(position))
}
