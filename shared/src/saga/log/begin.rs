//! Beginning a saga: its row, with what it opens with.

use super::{Direction, Entry, Hold, SK, Sagas, UNFINISHED, listed_at, owner_of, pk};
use crate::{
    dynamo::{self, Condition, DynamoError, Item, TransactionOutcome, Write, WriteOutcome},
    saga::{Saga, SagaId},
    telemetry::OrDegraded,
};

/// The position of the saga's row among the writes that it begins with.
const ROW: usize = 0;

/// A condition under which a saga may be begun.
pub type Guard<'a> = &'a (dyn Fn() -> Write + Sync);

/// What became of beginning a saga.
pub(in crate::saga) enum First<T> {
    Began(Hold<T>),
    /// It has begun before.
    Running,
    NotAllowed,
}

impl Sagas {
    /// Writes the row of a saga that begins, with what it opens with, and takes it, if `guard` holds.
    /// One that ended begins anew.
    pub(in crate::saga) async fn write_first<S: Saga>(
        &self,
        saga: &S,
        id: &SagaId,
        subject: S::Subject,
        guard: Option<Guard<'_>>,
    ) -> Result<First<S::Subject>, DynamoError> {
        let hold = Hold {
            id: id.clone(),
            position: 0,
            direction: Direction::Forward,
            subject,
            owner: self.new_owner(),
        };
        let row = self.first_row::<S>(&hold)?;
        let attempt = || self.transact_first(saga, &hold, &row, guard);
        let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
        let failed = match self.dynamo.retry_conflicts(attempt, is_conflict).await {
            Ok(TransactionOutcome::Written) => return Ok(First::Began(hold)),
            Ok(TransactionOutcome::ConditionFailed(at)) => at,
            Err(error) => {
                // It may have been written, and is to be continued by the next process then.
                let given_back = self.give_back(&hold, None, None).await;
                given_back.or_degraded("a saga's row");
                return Err(error);
            }
        };
        let guard_at = guard.map(|_| 1 + saga.opening(&hold.subject).len());
        if guard_at.is_some_and(|guard_at| failed.contains(&guard_at)) {
            return Ok(First::NotAllowed);
        }
        if failed.contains(&ROW) {
            return Ok(First::Running);
        }
        match self.dynamo.put(row, unless_running()).await? {
            WriteOutcome::Written(_) => Ok(First::Began(hold)),
            // Begun meanwhile; or here, and the answer was lost.
            WriteOutcome::ConditionFailed(_) => {
                let stored = self.dynamo.get(&pk(id), SK).await?;
                let is_ours = stored.is_some_and(|row| owner_of(&row) == Some(&hold.owner));
                Ok(if is_ours {
                    First::Began(hold)
                } else {
                    First::Running
                })
            }
        }
    }

    async fn transact_first<S: Saga>(
        &self,
        saga: &S,
        hold: &Hold<S::Subject>,
        row: &Item,
        guard: Option<Guard<'_>>,
    ) -> Result<TransactionOutcome, DynamoError> {
        let mut writes = vec![Write::Put(row.clone(), unless_running())];
        writes.extend(saga.opening(&hold.subject));
        writes.extend(guard.map(|guard| guard()));
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
