//! The connection to DynamoDB: one table, deadlines on every call.

mod condition;
mod due;
mod error;
mod failure;
mod item;
mod query;
mod sender;
mod transaction;
mod write;

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemInput};

use crate::{config::DynamoSettings, random::Random};

pub use condition::Condition;
pub use due::DuePosition;
pub use error::DynamoError;
pub use item::{Item, from_item, key, number, string, to_item};
pub use transaction::TransactionOutcome;
pub use write::{Update, Write, WriteOutcome};

pub(crate) use due::DUE_READS;
pub(crate) use sender::{Connections, Lent};

use sender::Sender;

/// Its name in metrics.
const UPSTREAM: &str = "dynamodb";

const ATTEMPTS: u32 = 3;
/// The most that the pause before a second attempt can be; before a third twice that. DynamoDB's
/// throttling passes within milliseconds as partitions are adapted.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The table. Cheap to clone; connects at the first call.
#[derive(Clone)]
pub struct Dynamo {
    sender: Arc<Sender>,
    table: String,
    random: Random,
}

impl Dynamo {
    /// The table of `settings`; `random` decides the pauses between attempts.
    #[must_use]
    pub fn new(settings: DynamoSettings, random: Random) -> Self {
        Self {
            table: settings.table.clone(),
            sender: Arc::new(Sender::new(settings, random.clone())),
            random,
        }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Reads a row that never exists: opens the connection, and shows whether table and
    /// permissions are right.
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be read.
    pub async fn probe(&self) -> Result<(), DynamoError> {
        self.get("PROBE", "PROBE").await.map(drop)
    }

    /// Writes a row that nothing reads, and that expires an hour after `now` (seconds since the
    /// epoch): shows whether the table takes writes.
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be written.
    pub async fn probe_write(&self, now: i64) -> Result<(), DynamoError> {
        let whether_or_not = Condition::new("attribute_exists(pk) OR attribute_not_exists(pk)");
        let update = Update::new(key("PROBE", "WRITE"), "SET #ttl = :ttl", whether_or_not)
            .name("#ttl", "ttl")
            .value(":ttl", number(now + 3600));
        self.update(update).await.map(drop)
    }

    /// The row under `pk` and `sk`, as of now (consistent read).
    ///
    /// # Errors
    /// [`DynamoError`] when the table can't be read.
    pub async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, DynamoError> {
        let get = GetItemInput::builder()
            .table_name(&self.table)
            .consistent_read(true)
            .set_key(Some(key(pk, sk)));
        let got = self.sender.call::<GetItem>(get.build()?)?.send().await?;
        Ok(got.item)
    }
}

#[cfg(test)]
mod tests;
