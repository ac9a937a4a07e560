//! The rows of sagas.

mod begin;
mod moves;
mod take;

use std::time::Duration;

use aws_sdk_dynamodb::{operation::query::builders::QueryInputBuilder, types::AttributeValue};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::SagaId;
use crate::{
    clock::Clock,
    dynamo::{self, Dynamo, DynamoError, Item},
    random::Random,
    request::deadline,
};

pub(super) use begin::First;
pub(super) use take::Taken;

/// How long a process has a saga after each of its steps, where it has no deadline; within a request,
/// a second longer than the request has left.
const LEASE: Duration = Duration::from_secs(20);
/// Longer than any lease.
const LONGEST_LEASE: Duration = Duration::from_mins(1);
/// How the partition keys of sagas begin; the id follows.
pub const PK_PREFIX: &str = "SAGA#";
/// Their sort key.
pub const SK: &str = "SAGA";
/// The partition of the index that lists those which have not ended.
const UNFINISHED: &str = "SAGAS";
/// The index's name.
const INDEX: &str = "gsi1";
/// Sagas on a page of those that are due.
const PAGE: i32 = 100;
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

/// What the index says of a saga.
#[derive(Deserialize)]
struct Named {
    id: SagaId,
}

/// A page of the sagas that are due.
#[derive(Debug, Default)]
pub struct DueSagas {
    /// Them.
    pub entries: Vec<Entry>,
    /// How many beside them have rows that can't be read: another version wrote them, or somebody by hand.
    pub unreadable: usize,
    /// Where the next page begins; none on the last one.
    pub next: Option<DueCursor>,
}

/// A place in the list of sagas that are due.
#[derive(Debug)]
pub struct DueCursor(Item);

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

    /// An id for a saga of which there can be several about the same thing, one after the other.
    #[must_use]
    pub fn new_id(&self) -> SagaId {
        SagaId::new(self.random.bytes())
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
    /// wait last. The index only names them, and may name one that has just ended. One whose row can't be
    /// read is left out, and logged.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn unfinished(&self, limit: u16) -> Result<Vec<Entry>, DynamoError> {
        let query = self.listed().key_condition_expression("gsi1pk = :pk");
        let page = self.dynamo.page(query.limit(i32::from(limit))).await?;
        let rows = page.items.unwrap_or_default();
        Ok(self.read(rows).await?.entries)
    }

    /// The sagas that have not ended and are due, those that have been so for the longest time first: a
    /// page of them, from the first on or behind the page `after`.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn due(&self, after: Option<DueCursor>) -> Result<DueSagas, DynamoError> {
        // Behind everything of this moment, whose id follows a `#`.
        let now = format!("{:.3}~", self.clock.now());
        let query = self
            .listed()
            .key_condition_expression("gsi1pk = :pk AND gsi1sk < :now")
            .expression_attribute_values(":now", dynamo::string(now))
            .set_exclusive_start_key(after.map(|DueCursor(key)| key))
            .limit(PAGE);
        let page = self.dynamo.page(query).await?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty());
        let read = self.read(page.items.unwrap_or_default()).await?;
        Ok(DueSagas {
            next: next.map(DueCursor),
            ..read
        })
    }

    fn listed(&self) -> QueryInputBuilder {
        self.dynamo
            .query()
            .consistent_read(false)
            .index_name(INDEX)
            .expression_attribute_values(":pk", dynamo::string(UNFINISHED))
    }

    /// The sagas that the index names. One whose row can't be read keeps no other waiting.
    async fn read(&self, rows: Vec<Item>) -> Result<DueSagas, DynamoError> {
        let read = rows.into_iter().map(|row| async move {
            let Named { id } = dynamo::from_item(row).map_err(|error| (None, error))?;
            let entry = self.get(&id).await;
            entry.map_err(|error| (Some(id), error))
        });
        let mut read = stream::iter(read).buffered(CONCURRENCY);
        let mut due = DueSagas::default();
        while let Some(entry) = read.next().await {
            match entry {
                Ok(entry) => due
                    .entries
                    .extend(entry.filter(|entry| entry.outcome.is_none())),
                Err((id, error)) if error.is_about_the_row() => {
                    let id = id.map(|id: SagaId| id.to_string());
                    tracing::error!(saga_id = id, %error, "a saga can't be read");
                    due.unreadable += 1;
                }
                Err((_, error)) => return Err(error),
            }
        }
        Ok(due)
    }

    fn lease_end(&self) -> AttributeValue {
        let lease = deadline::remaining().map_or(LEASE, |left| left + Duration::from_secs(1));
        dynamo::number(self.clock.now().as_millisecond() + millis(lease))
    }

    fn new_owner(&self) -> String {
        hex::encode(self.random.bytes::<16>())
    }
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
