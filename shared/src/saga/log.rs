//! The rows of sagas.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Saga, SagaId};
use crate::{
    clock::Clock,
    dynamo::{
        self, Condition, Dynamo, DynamoError, Item, TransactionOutcome, Update, Write, WriteOutcome,
    },
    random::Random,
    request::deadline,
    telemetry::OrDegraded,
};

/// How long a process has a saga after each of its steps, where it has no deadline; within a request,
/// a second longer than the request has left.
const LEASE: Duration = Duration::from_secs(20);
/// Longer than any lease.
const LONGEST_LEASE: Duration = Duration::from_mins(1);
/// How long giving a saga back may take, also when the request's time is over: without, the next
/// process waits until the lease has expired.
const GIVE_BACK: Duration = Duration::from_millis(500);
/// The position of the saga's row among the writes that it begins with.
const ROW: usize = 0;
/// How the partition keys of sagas begin; the id follows.
pub const PK_PREFIX: &str = "SAGA#";
/// Their sort key.
pub const SK: &str = "SAGA";
/// The partition of the index that lists those which have not ended.
const UNFINISHED: &str = "SAGAS";
/// The index's name.
const INDEX: &str = "gsi1";
/// Rows that are read at the same time.
const CONCURRENCY: usize = 16;
/// The saga is of the expected kind, and no process has it.
const FREE: &str = "kind = :kind AND attribute_not_exists(outcome) \
    AND (attribute_not_exists(leaseUntil) OR leaseUntil < :now OR leaseUntil > :impossible)";

/// Which way a saga goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The step at its position is the next to be done.
    Forward,
    /// The step before its position is the next to be undone.
    Back,
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All steps are done.
    Done,
    /// All steps that had been done are undone.
    Undone,
}

/// A saga's row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its id.
    pub id: SagaId,
    /// What it does.
    pub kind: String,
    /// Forward, the number of steps that are done; back, of those that are still to be undone.
    pub position: usize,
    /// Which way it goes.
    pub direction: Direction,
    /// When it began.
    pub created_at: Timestamp,
    /// When its row was last written.
    pub updated_at: Timestamp,
    /// It goes on at this time, not earlier. In seconds since the epoch.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// Why its last step failed, as long as it has not been repeated.
    #[serde(default)]
    pub failure: Option<String>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

/// What a process has of a saga that it may move on.
pub(super) struct Hold<T> {
    pub(super) id: SagaId,
    pub(super) position: usize,
    pub(super) direction: Direction,
    pub(super) subject: T,
    owner: String,
}

/// A condition under which a saga may be begun.
pub type Guard<'a> = &'a (dyn Fn() -> Write + Sync);

/// What became of beginning a saga.
pub(super) enum First<T> {
    Began(Hold<T>),
    /// It has begun before.
    Running,
    NotAllowed,
}

/// What became of trying to take a saga over.
pub(super) enum Taken<T> {
    Held(Hold<T>),
    Ended(Outcome),
    Waiting(Timestamp),
    /// Another process has it.
    Busy,
    Missing,
}

/// What the index says of a saga.
#[derive(Deserialize)]
struct Named {
    id: SagaId,
}

#[derive(Deserialize)]
struct WithSubject<T> {
    #[serde(flatten)]
    entry: Entry,
    subject: T,
}

/// The log of sagas. Cheap to clone.
#[derive(Clone)]
pub struct Sagas {
    pub(super) dynamo: Dynamo,
    pub(super) clock: Clock,
    random: Random,
    /// How long the row of a saga that ended is kept.
    retention: Duration,
}

impl Sagas {
    /// Sagas in `dynamo`, whose rows are kept for `retention` after their end.
    #[must_use]
    pub fn new(dynamo: Dynamo, clock: Clock, random: Random, retention: Duration) -> Self {
        Self {
            dynamo,
            clock,
            random,
            retention,
        }
    }

    /// The saga; none if there was no such saga, or it ended long ago.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn get(&self, id: &SagaId) -> Result<Option<Entry>, DynamoError> {
        let row = self.dynamo.get(&pk(id), SK).await?;
        row.map(dynamo::from_item).transpose()
    }

    /// The sagas that have not ended, in the order in which they are due, at most `limit`: those that
    /// wait last. The index only names them, and
    /// may name one that has just ended.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn unfinished(&self, limit: u16) -> Result<Vec<Entry>, DynamoError> {
        let query = self
            .dynamo
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :pk")
            .expression_attribute_values(":pk", dynamo::string(UNFINISHED))
            .limit(i32::from(limit));
        let page = self.dynamo.page(query).await?;
        let rows = page.items.unwrap_or_default().into_iter();
        let named: Result<Vec<Named>, _> = rows.map(dynamo::from_item).collect();
        let read = named?
            .into_iter()
            .map(|Named { id }| async move { self.get(&id).await });
        let read = stream::iter(read).buffered(CONCURRENCY);
        let entries: Vec<_> = read.try_collect().await?;
        let unfinished = |entry: &Entry| entry.outcome.is_none();
        Ok(entries.into_iter().flatten().filter(unfinished).collect())
    }

    /// Writes the row of a saga that begins, with what it opens with, and takes it, if `guard` holds.
    /// One that ended begins anew.
    pub(super) async fn write_first<S: Saga>(
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

    /// Takes a saga that nobody has and that does not wait, to move it on.
    pub(super) async fn take<T: DeserializeOwned>(
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
    pub(super) async fn take_waiting<T: DeserializeOwned>(
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

    /// Ends the wait of a saga, which goes on about `subject` instead. Not while a process has it.
    pub(super) async fn end_wait<S: Saga>(
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
            "SET subject = :subject REMOVE notBefore",
            condition,
        );
        let update = update
            .value(":now", dynamo::number(now))
            .value(":subject", subject.map_err(DynamoError::unwritable)?);
        self.dynamo.update(update).await.map(drop)
    }

    /// Moves a saga on, if this process still has it where it stood. Whether it has.
    pub(super) async fn advance<T>(
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
    pub(super) async fn give_back<T>(
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

    /// Ends a saga: what it was about is forgotten, and its row expires. Whether this process still
    /// had it.
    pub(super) async fn end<T>(
        &self,
        hold: &Hold<T>,
        outcome: Outcome,
    ) -> Result<bool, DynamoError> {
        let expires = self.clock.now_seconds() + millis(self.retention) / 1000;
        let update = self
            .update(
                hold,
                "SET outcome = :outcome, #ttl = :ttl, updatedAt = :now \
                 REMOVE subject, #owner, leaseUntil, notBefore, failure, gsi1pk, gsi1sk",
            )
            .name("#ttl", "ttl")
            .value(":outcome", outcome.into())
            .value(":ttl", dynamo::number(expires));
        match self.dynamo.update(update).await? {
            WriteOutcome::Written(_) => Ok(true),
            // Whether it has ended so; then the answer was lost.
            WriteOutcome::ConditionFailed(Some(row)) => {
                let entry: Entry = dynamo::from_item(row)?;
                Ok(entry.outcome == Some(outcome))
            }
            WriteOutcome::ConditionFailed(None) => Ok(false),
        }
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

    fn lease_end(&self) -> AttributeValue {
        let lease = deadline::remaining().map_or(LEASE, |left| left + Duration::from_secs(1));
        dynamo::number(self.clock.now().as_millisecond() + millis(lease))
    }

    fn new_owner(&self) -> String {
        hex::encode(self.random.bytes::<16>())
    }
}

fn unless_running() -> Condition {
    Condition::new("attribute_not_exists(pk) OR attribute_exists(outcome)")
}

/// Where a saga stands among those that have not ended: in the order in which they are due.
fn listed_at(due: Timestamp, id: &SagaId) -> AttributeValue {
    dynamo::string(format!("{due:.3}#{id}"))
}

/// Whose a row is.
fn owner_of(row: &Item) -> Option<&String> {
    row.get("owner")?.as_s().ok()
}

fn pk(id: &SagaId) -> String {
    format!("{PK_PREFIX}{id}")
}

fn key(id: &SagaId) -> Item {
    dynamo::key(&pk(id), SK)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn number_of(position: usize) -> Result<AttributeValue, DynamoError> {
    let position = i64::try_from(position).map_err(DynamoError::unwritable)?;
    Ok(dynamo::number(position))
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

impl From<Direction> for AttributeValue {
    fn from(direction: Direction) -> Self {
        dynamo::string(match direction {
            Direction::Forward => "forward",
            Direction::Back => "back",
        })
    }
}

impl From<Outcome> for AttributeValue {
    fn from(outcome: Outcome) -> Self {
        dynamo::string(match outcome {
            Outcome::Done => "done",
            Outcome::Undone => "undone",
        })
    }
}
