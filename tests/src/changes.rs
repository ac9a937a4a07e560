//! The changes of a table, as its stream hands them over.

use local::ChangeFeed;
use serde_json::{Value, json};

/// More than any test makes.
const ALL: usize = 1000;

/// The stream of a table, read from one end to the other.
pub struct Changes {
    feed: ChangeFeed,
    after: Option<String>,
}

impl Changes {
    pub(crate) fn new(feed: ChangeFeed) -> Self {
        Self { feed, after: None }
    }

    /// The changes since the last call, each as Lambda hands it over.
    pub fn read(&mut self) -> Vec<Value> {
        let records = self.feed.read(self.after.as_deref(), ALL).unwrap();
        if let Some(last) = records.last() {
            self.after = Some(sequence(last).to_owned());
        }
        records
    }
}

/// The sequence number of a record.
pub fn sequence(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

/// The event in which Lambda hands these records over.
pub fn event(records: &[Value]) -> Value {
    json!({ "Records": records })
}

/// The sequence numbers of the records that the worker asks for again.
pub fn failures(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array();
    let failures = failures.unwrap_or_else(|| panic!("no answer of a worker: {answer}"));
    failures
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap())
        .collect()
}
