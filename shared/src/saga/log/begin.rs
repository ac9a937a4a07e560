//! Beginning a saga: its row, with what it opens with.

use super::{Direction, Entry, Hold, SK, Sagas, UNFINISHED, listed_at, pk};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, TransactionOutcome, Write},
    saga::{Opening, Saga, SagaId},
    telemetry::OrDegraded,
};

/// The position of the saga's row among the writes that it begins with.
const ROW: usize = 0;
/// The position of the first guard, if there is one.
const GUARDS: usize = 1;

/// What became of beginning a saga.
pub(in crate::saga) enum First<T> {
    Began(Hold<T>),
    /// It has begun before.
    Running,
    /// A guard does not hold.
    NotAllowed,
    /// Another write of the opening can't be carried out.
    Blocked,
}

impl Sagas {
    /// Writes the row of a saga that begins, with what it opens with, and takes it. One that ended
    /// begins anew.
    pub(in crate::saga) async fn write_first<S: Saga>(
        &self,
        id: &SagaId,
        subject: S::Subject,
        opening: &Opening,
    ) -> Result<First<S::Subject>, DynamoError> {
        let hold = Hold {
            id: id.clone(),
            position: 0,
            direction: Direction::Forward,
            subject,
            owner: self.new_owner(),
        };
        let row = self.first_row::<S>(&hold)?;
        let attempt = || self.transact_first(&row, opening);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        match self.dynamo.retry_conflicts(attempt, is_conflict).await {
            Ok(TransactionOutcome::Written) => Ok(First::Began(hold)),
            Ok(TransactionOutcome::ConditionFailed(at)) => Ok(Self::not_begun(&at, opening)),
            Err(error) => {
                // It may have been written, and is to be continued by the next process then.
                let given_back = self.give_back(&hold, None, None).await;
                given_back.or_degraded("a saga's row");
                Err(error)
            }
        }
    }

    /// What it means that the conditions of the writes at these positions did not hold. A caller that
    /// may not begin the saga may not continue it by this way either.
    fn not_begun<T>(failed: &[usize], opening: &Opening) -> First<T> {
        let guards = GUARDS..GUARDS + opening.guards.len();
        if failed.iter().any(|at| guards.contains(at)) {
            First::NotAllowed
        } else if failed.contains(&ROW) {
            First::Running
        } else {
            First::Blocked
        }
    }

    async fn transact_first(
        &self,
        row: &Item,
        opening: &Opening,
    ) -> Result<TransactionOutcome, DynamoError> {
        let mut writes = vec![Write::Put(row.clone(), unless_running())];
        writes.extend(opening.guards.iter().cloned());
        writes.extend(opening.writes.iter().cloned());
        self.dynamo.transact(writes).await
    }

    fn first_row<S: Saga>(&self, hold: &Hold<S::Subject>) -> Result<Item, DynamoError> {
        let now = self.clock.now();
        let entry = Entry {
            id: hold.id.clone(),
            kind: S::KIND.to_owned(),
            position: 0,
            direction: Direction::Forward,
            created_at: now,
            updated_at: now,
            not_before: None,
            failure: None,
            outcome: None,
        };
        let mut row = dynamo::to_item(&pk(&hold.id), SK, &entry)?;
        let subject = serde_dynamo::to_attribute_value(&hold.subject);
        row.extend([
            ("subject".into(), subject.map_err(DynamoError::unwritable)?),
            ("owner".into(), dynamo::string(&hold.owner)),
            ("leaseUntil".into(), self.lease_end()),
            ("gsi1pk".into(), dynamo::string(UNFINISHED)),
            ("gsi1sk".into(), listed_at(now, &hold.id)),
        ]);
        Ok(row)
    }
}

fn unless_running() -> Condition {
    Condition::new("attribute_not_exists(pk) OR attribute_exists(outcome)")
}
