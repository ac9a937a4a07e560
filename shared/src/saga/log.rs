//! The rows of sagas.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Saga, SagaId};
use crate::{
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Item, Update, WriteOutcome},
    random::Random,
};

/// How long a process has a saga after each of its steps: longer than a request lives.
const LEASE: Duration = Duration::from_secs(20);
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
    /// The number of steps that are done.
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

    /// The sagas that have not ended, the oldest first, at most `limit`. The index only names them, and
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

    /// Writes the row of a saga that begins, and takes it. `None` if it has begun already. One that
    /// ended begins anew.
    pub(super) async fn write_first<S: Saga>(
        &self,
        id: &SagaId,
        subject: S::Subject,
    ) -> Result<Option<Hold<S::Subject>>, DynamoError> {
        let (now, owner) = (self.clock.now(), self.new_owner());
        let entry = Entry {
            id: id.clone(),
            kind: S::KIND.to_owned(),
            position: 0,
            direction: Direction::Forward,
            created_at: now,
            updated_at: now,
            not_before: None,
            failure: None,
            outcome: None,
        };
        let mut row = dynamo::to_item(&pk(id), SK, &entry)?;
        let subject_row = serde_dynamo::to_attribute_value(&subject);
        let listed_at = format!("{now:.3}#{id}");
        row.extend([
            (
                "subject".into(),
                subject_row.map_err(DynamoError::unwritable)?,
            ),
            ("owner".into(), dynamo::string(&owner)),
            ("leaseUntil".into(), self.lease_end()),
            ("gsi1pk".into(), dynamo::string(UNFINISHED)),
            ("gsi1sk".into(), dynamo::string(listed_at)),
        ]);
        let unless_running =
            Condition::new("attribute_not_exists(pk) OR attribute_exists(outcome)");
        match self.dynamo.put(row, unless_running).await? {
            WriteOutcome::Written(_) => Ok(Some(Hold {
                id: id.clone(),
                position: 0,
                direction: Direction::Forward,
                subject,
                owner,
            })),
            WriteOutcome::ConditionFailed(_) => Ok(None),
        }
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

    /// The same of one that may be waiting.
    pub(super) async fn take_waiting<T: DeserializeOwned>(
        &self,
        id: &SagaId,
        kind: &str,
    ) -> Result<Taken<T>, DynamoError> {
        self.take_if(id, kind, Condition::new(FREE)).await
    }

    async fn take_if<T: DeserializeOwned>(
        &self,
        id: &SagaId,
        kind: &str,
        condition: Condition,
    ) -> Result<Taken<T>, DynamoError> {
        let (now, owner) = (self.clock.now(), self.new_owner());
        // A lease that ends later than any can was written by a clock that was wrong.
        let impossible = now.as_millisecond() + 2 * millis(LEASE);
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
        match self.dynamo.update(update).await? {
            WriteOutcome::Written(row) => {
                let WithSubject { entry, subject } = dynamo::from_item(row)?;
                Ok(Taken::Held(Hold {
                    id: entry.id,
                    position: entry.position,
                    direction: entry.direction,
                    subject,
                    owner,
                }))
            }
            WriteOutcome::ConditionFailed(row) => not_taken(row, kind, now),
        }
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
            .value(":impossible", dynamo::number(now + 2 * millis(LEASE)));
        let update = Update::new(
            key(id),
            "SET subject = :subject REMOVE notBefore",
            condition,
        );
        let update = update
            .value(":now", dynamo::number(now))
            .value(":subject", subject.map_err(DynamoError::unwritable)?);
        self.write(update).await.map(drop)
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
        let is_ours = self.write(update).await?;
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
            set.push_str(", notBefore = :notBefore");
        }
        if failure.is_some() {
            set.push_str(", failure = :failure");
        }
        let mut update = self.update(hold, &format!("{set} REMOVE #owner, leaseUntil"));
        if let Some(time) = not_before {
            update = update.value(":notBefore", dynamo::number(time.as_second()));
        }
        if let Some(failure) = failure {
            update = update.value(":failure", dynamo::string(failure));
        }
        self.write(update).await.map(drop)
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
        self.write(update).await
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
    }

    async fn write(&self, update: Update) -> Result<bool, DynamoError> {
        let outcome = self.dynamo.update(update).await?;
        Ok(matches!(outcome, WriteOutcome::Written(_)))
    }

    fn lease_end(&self) -> AttributeValue {
        dynamo::number(self.clock.now().as_millisecond() + millis(LEASE))
    }

    fn new_owner(&self) -> String {
        hex::encode(self.random.bytes::<16>())
    }
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
