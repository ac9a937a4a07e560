//! What Lambda does with the table's stream, for the embedded DynamoDB: it hands batches of changes to
//! the worker, goes on behind what was handled, and once a minute sends what the schedule sends.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use dynoxide::{
    Database, DynoxideError,
    actions::{
        describe_stream::DescribeStreamRequest, get_records::GetRecordsRequest,
        get_shard_iterator::GetShardIteratorRequest, list_streams::ListStreamsRequest,
    },
};
use serde_json::{Value, json, value::RawValue};
use shared::{
    clock::Clock,
    random::Random,
    runtime::{InvocationError, InvocationScope, Invoker},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// Records of a batch at most, as in template.yaml.
const BATCH: usize = 100;
/// How long an invocation may take, as in template.yaml.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often the stream is looked at.
const POLL: Duration = Duration::from_millis(250);
/// The pauses after a failure: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A change that could not be handled for so long is given up, as in template.yaml (seconds).
const MAX_AGE: i64 = 72_000;
/// How often the schedule of template.yaml sends its task.
const SCHEDULE: Duration = Duration::from_mins(1);
/// The file in `DATA_DIR` that says how far the stream was followed.
const POSITION_FILE: &str = "worker.position";

/// The stream of a table of the embedded DynamoDB. Cheap to clone.
#[derive(Clone)]
pub struct ChangeFeed {
    database: Database,
    arn: String,
    shard: String,
}

impl ChangeFeed {
    /// The stream of `table`, which has to be enabled.
    ///
    /// # Errors
    /// The database's.
    pub fn open(database: Database, table: &str) -> Result<Self, DynoxideError> {
        let missing = || DynoxideError::ResourceNotFoundException(format!("no stream of {table}"));
        let streams = database.list_streams(ListStreamsRequest {
            table_name: Some(table.to_owned()),
            ..ListStreamsRequest::default()
        })?;
        let stream = streams.streams.into_iter().next().ok_or_else(missing)?;
        let arn = stream.stream_arn;
        let described = database.describe_stream(DescribeStreamRequest {
            stream_arn: arn.clone(),
            ..DescribeStreamRequest::default()
        })?;
        let shards = described.stream_description.shards;
        let shard = shards.into_iter().next().ok_or_else(missing)?.shard_id;
        Ok(Self {
            database,
            arn,
            shard,
        })
    }

    /// At most `limit` records behind the one with this sequence number, or from the first on; each as
    /// Lambda hands it over. Blocks the thread.
    ///
    /// # Errors
    /// The database's.
    pub fn read(&self, after: Option<&str>, limit: usize) -> Result<Vec<Value>, DynoxideError> {
        let kind = match after {
            Some(_) => "AFTER_SEQUENCE_NUMBER",
            None => "TRIM_HORIZON",
        };
        let iterator = self.database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: self.arn.clone(),
            shard_id: self.shard.clone(),
            shard_iterator_type: kind.to_owned(),
            sequence_number: after.map(str::to_owned),
        })?;
        let records = self.database.get_records(GetRecordsRequest {
            shard_iterator: iterator.shard_iterator.unwrap_or_default(),
            limit: Some(limit),
        })?;
        let records = records.records.into_iter();
        Ok(records.map(|record| json!(record)).collect())
    }
}

/// Follows a stream until it is stopped.
pub(crate) struct Follower {
    stream: JoinHandle<()>,
    schedule: JoinHandle<()>,
}

impl Follower {
    /// Hands the changes of `feed` to `invoker`, from where an earlier process stopped that had this
    /// folder.
    pub(crate) fn start(feed: ChangeFeed, invoker: Invoker, folder: &Path) -> Self {
        let following = Following {
            feed,
            invoker: invoker.clone(),
            position: Position::read(folder),
            pause: FIRST_PAUSE,
        };
        Self {
            stream: tokio::spawn(following.run()),
            schedule: tokio::spawn(run_schedule(invoker)),
        }
    }

    /// Stops at once: what was not finished is handled again by the next process.
    pub(crate) async fn stop(self) {
        for task in [self.stream, self.schedule] {
            task.abort();
            // Cancelled, or it had panicked, which the log says.
            let _ = task.await;
        }
    }
}

/// How far the stream was followed, in memory and in a file.
struct Position {
    file: PathBuf,
    after: Option<String>,
}

impl Position {
    fn read(folder: &Path) -> Self {
        let file = folder.join(POSITION_FILE);
        // Without a file, from the beginning: everything can be handled twice.
        let after = fs::read_to_string(&file).ok();
        let after = after.filter(|text| !text.is_empty());
        Self { file, after }
    }

    fn store(&mut self, after: String) {
        if let Err(error) = replace(&self.file, &after) {
            tracing::warn!(%error, "how far changes were followed can't be written: the next start repeats them");
        }
        self.after = Some(after);
    }
}

/// Replaces a file as a whole.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

struct Following {
    feed: ChangeFeed,
    invoker: Invoker,
    position: Position,
    pause: Duration,
}

impl Following {
    async fn run(mut self) {
        loop {
            let pause = match self.batch().await {
                Ok(Some(())) => {
                    self.pause = FIRST_PAUSE;
                    continue;
                }
                Ok(None) => POLL,
                Err(why) => {
                    tracing::warn!(why, "changes of the table are handled again");
                    let pause = self.pause;
                    self.pause = (pause * 2).min(LONGEST_PAUSE);
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    /// Whether there was something, all of which was handled.
    async fn batch(&mut self) -> Result<Option<()>, String> {
        let (feed, after) = (self.feed.clone(), self.position.after.clone());
        let read = spawn_blocking(move || feed.read(after.as_deref(), BATCH)).await;
        let read = read.map_err(|error| error.to_string())?;
        let records = read.map_err(|error| error.to_string())?;
        if records.is_empty() {
            return Ok(None);
        }
        let answer = invoke(&self.invoker, &json!({ "Records": records })).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let failed = first_failure(&answer, &records);
        let handled = failed.unwrap_or(records.len());
        if let Some(last) = handled.checked_sub(1).and_then(|at| records.get(at)) {
            self.position.store(sequence(last).to_owned());
        }
        match failed.and_then(|at| records.get(at)) {
            None => Ok(Some(())),
            Some(record) if is_too_old(record) => {
                let sequence = sequence(record);
                tracing::error!(
                    sequence,
                    "a change could not be handled for too long and is given up"
                );
                self.position.store(sequence.to_owned());
                Ok(Some(()))
            }
            Some(_) => Err(format!("{} were not handled", records.len() - handled)),
        }
    }
}

fn sequence(record: &Value) -> &str {
    let sequence = record.pointer("/dynamodb/SequenceNumber");
    sequence.and_then(Value::as_str).unwrap_or_default()
}

/// The place of the first record of the batch that the worker asks for again.
fn first_failure(answer: &Value, records: &[Value]) -> Option<usize> {
    let failures = answer["batchItemFailures"].as_array()?;
    let names = failures
        .iter()
        .filter_map(|failure| failure["itemIdentifier"].as_str());
    let failed: Vec<_> = names.collect();
    records
        .iter()
        .position(|record| failed.contains(&sequence(record)))
}

fn is_too_old(record: &Value) -> bool {
    let written = record.pointer("/dynamodb/ApproximateCreationDateTime");
    let written = written.and_then(Value::as_f64).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch")]
    let age = (Clock::System.now_seconds() as f64) - written;
    #[expect(clippy::cast_precision_loss, reason = "a few digits")]
    let max = MAX_AGE as f64;
    age > max
}

async fn run_schedule(invoker: Invoker) {
    let mut ticks = interval(SCHEDULE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // The log line of the invocation says what went wrong.
        let _ = invoke(&invoker, &json!({"task": "resume-sagas"})).await;
    }
}

async fn invoke(invoker: &Invoker, event: &Value) -> Result<Value, InvocationError> {
    let event = RawValue::from_string(event.to_string());
    let event = event.map_err(|error| InvocationError(error.to_string()))?;
    let id = Random::System.uuid_v7(&Clock::System).to_string();
    let invocation = InvocationScope {
        id: &id,
        deadline: Some(Instant::now() + TIMEOUT),
    };
    invoker.invoke(&event, invocation).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: &str) -> Value {
        json!({"dynamodb": {"SequenceNumber": sequence}})
    }

    #[test]
    fn the_first_failure_is_that_of_the_batch_not_of_the_answer() {
        let records = ["7", "8", "9"].map(record);
        let answer =
            json!({"batchItemFailures": [{"itemIdentifier": "9"}, {"itemIdentifier": "8"}]});
        assert_eq!(first_failure(&answer, &records), Some(1));
        assert_eq!(
            first_failure(&json!({"batchItemFailures": []}), &records),
            None
        );
    }

    #[test]
    fn a_position_survives_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut position = Position::read(folder.path());
        assert_eq!(position.after, None);
        position.store("100000000000000000007".to_owned());
        let read = Position::read(folder.path());
        assert_eq!(read.after.as_deref(), Some("100000000000000000007"));
    }
}
