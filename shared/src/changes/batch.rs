//! Batches of records.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Reactions, Record, RecordOutcome, record::Group};

/// Partition keys whose records are handled at the same time.
const CONCURRENCY: usize = 16;

/// What Lambda hands over: records of one shard, in their order.
#[derive(Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

/// The records that are to be delivered again. The stream goes on with the first one of its shard, and
/// with all that follow, also those that were handled.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl Failures {
    /// Whether all records were handled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch_item_failures.is_empty()
    }

    /// The sequence numbers, in the order of the batch.
    pub fn sequences(&self) -> impl Iterator<Item = &str> {
        let failures = self.batch_item_failures.iter();
        failures.map(|failure| failure.item_identifier.as_str())
    }
}

impl Batch {
    /// Has the reactions react to all records: to those of one partition key one after the other, up to
    /// the first that fails; to those of different keys at the same time.
    pub async fn handle(&self, reactions: &Reactions) -> Failures {
        let groups = in_groups(self.records.iter().map(|raw| Record::read(raw)));
        let handled = stream::iter(groups)
            .map(|group| handle_group(group, reactions))
            .buffer_unordered(CONCURRENCY);
        let mut failed: Vec<_> = handled.concat().await;
        failed.sort_unstable_by_key(|(place, _)| *place);
        let failures = failed
            .into_iter()
            .map(|(_, item_identifier)| Failure { item_identifier });
        Failures {
            batch_item_failures: failures.collect(),
        }
    }
}

/// A record with its place in the batch.
type Placed = (usize, Record);

/// The records of each partition key, in their order; the groups in the order of their first records.
fn in_groups(records: impl Iterator<Item = Record>) -> Vec<Vec<Placed>> {
    let mut places = HashMap::<Group, usize>::new();
    let mut groups = Vec::<Vec<Placed>>::new();
    for placed in records.enumerate() {
        let place = *places.entry(placed.1.group).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(placed),
            None => groups.push(vec![placed]),
        }
    }
    groups
}

/// The places and sequence numbers of the records from the first that failed on. One without a number
/// can't be asked for again: it is unreadable, and so never fails.
async fn handle_group(group: Vec<Placed>, reactions: &Reactions) -> Vec<(usize, String)> {
    let mut failed = Vec::new();
    for (place, record) in group {
        let is_behind = !failed.is_empty();
        if is_behind || reactions.react(&record).await == RecordOutcome::Failed {
            failed.extend(record.sequence.map(|sequence| (place, sequence)));
        }
    }
    failed
}
