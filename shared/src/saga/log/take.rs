//! Taking a saga that no process has, to move it on.

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Direction, Entry, FREE, Hold, LONGEST_LEASE, Outcome, Sagas, key, millis, owner_of};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, Update, WriteOutcome},
    saga::SagaId,
};

/// What became of trying to take a saga over.
pub(in crate::saga) enum Taken<T> {
    Held(Hold<T>),
    Ended(Outcome),
    Waiting(Timestamp),
    /// Another process has it.
    Busy,
    Missing,
}

#[derive(Deserialize)]
struct WithSubject<T> {
    #[serde(flatten)]
    entry: Entry,
    subject: T,
}

impl Sagas {
    /// Takes a saga that nobody has and that does not wait, to move it on.
    pub(in crate::saga) async fn take<T: DeserializeOwned>(
        &self,
        id: &SagaId,
        kind: &str,
    ) -> Result<Taken<T>, DynamoError> {
        let due = "(attribute_not_exists(notBefore) OR notBefore <= :seconds)";
        let condition = Condition::new(format!("{FREE} AND {due}"));
        let seconds = dynamo::number(self.clock.now_seconds());
        self.take_if(id, kind, condition.value(":seconds", seconds))
            .await
    }

    /// Takes a saga that waits, or goes back, and that nobody has.
    pub(in crate::saga) async fn take_waiting<T: DeserializeOwned>(
        &self,
        id: &SagaId,
        kind: &str,
    ) -> Result<Taken<T>, DynamoError> {
        let waits = "(attribute_exists(notBefore) OR direction = :back)";
        let condition = Condition::new(format!("{FREE} AND {waits}"));
        let back = Direction::Back.into();
        self.take_if(id, kind, condition.value(":back", back)).await
    }

    async fn take_if<T: DeserializeOwned>(
        &self,
        id: &SagaId,
        kind: &str,
        condition: Condition,
    ) -> Result<Taken<T>, DynamoError> {
        let (now, owner) = (self.clock.now(), self.new_owner());
        // A lease that ends later than any can was written by a clock that was wrong.
        let impossible = now.as_millisecond() + millis(LONGEST_LEASE);
        let condition = condition
            .value(":kind", dynamo::string(kind))
            .value(":impossible", dynamo::number(impossible));
        let update = Update::new(
            key(id),
            "SET #owner = :owner, leaseUntil = :until",
            condition,
        );
        let update = update
            .name("#owner", "owner")
            .value(":owner", dynamo::string(&owner))
            .value(":now", dynamo::number(now.as_millisecond()))
            .value(":until", self.lease_end())
            .returning_new()
            .returning_old_on_failure();
        let row = match self.dynamo.update(update).await? {
            WriteOutcome::Written(row) => row,
            // By this process, and the answer was lost.
            WriteOutcome::ConditionFailed(Some(row)) if owner_of(&row) == Some(&owner) => row,
            WriteOutcome::ConditionFailed(row) => return not_taken(row, kind, now),
        };
        let WithSubject { entry, subject } = dynamo::from_item(row)?;
        Ok(Taken::Held(Hold {
            id: entry.id,
            position: entry.position,
            direction: entry.direction,
            subject,
            owner,
        }))
    }
}

/// Why a saga could not be taken, from its row.
fn not_taken<T>(row: Option<Item>, kind: &str, now: Timestamp) -> Result<Taken<T>, DynamoError> {
    let Some(row) = row else {
        return Ok(Taken::Missing);
    };
    let entry: Entry = dynamo::from_item(row)?;
    if entry.kind != kind {
        return Ok(Taken::Missing);
    }
    if let Some(outcome) = entry.outcome {
        return Ok(Taken::Ended(outcome));
    }
    match entry.not_before {
        Some(time) if time > now.as_second() => {
            let time = Timestamp::from_second(time).map_err(DynamoError::unreadable)?;
            Ok(Taken::Waiting(time))
        }
        _ => Ok(Taken::Busy),
    }
}
