//! What Lambda does with the table's stream, for the embedded DynamoDB: it hands batches of the changes
//! that something reacts to to the worker, goes on behind what was handled, and once a minute sends what
//! the schedule sends.

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
use gateway::{hand_over, run_schedule};
use serde_json::{Value, json};
use shared::{changes::wakes_worker, clock::Clock, runtime::Invoker};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

/// Records of a batch at most, as in template.yaml.
const BATCH: usize = 100;
/// How often the stream is looked at.
const POLL: Duration = Duration::from_millis(250);
/// The pauses after a failure: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A change that could not be handled for so long is given up, as in template.yaml (seconds).
const MAX_AGE: i64 = 72_000;
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
            position: Position::read(folder, &feed.arn),
            feed,
            invoker: invoker.clone(),
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

/// How far the stream was followed, in memory and in a file: the stream's ARN, and the sequence number
/// behind which it goes on.
struct Position {
    file: PathBuf,
    stream: String,
    after: Option<String>,
}

impl Position {
    fn read(folder: &Path, stream: &str) -> Self {
        let file = folder.join(POSITION_FILE);
        // Without a file, or with that of another stream, from the beginning: everything can be handled
        // twice.
        let text = fs::read_to_string(&file).unwrap_or_default();
        let after = match text.split_once(' ') {
            Some((of, after)) if of == stream => Some(after.to_owned()),
            _ => None,
        };
        Self {
            file,
            stream: stream.to_owned(),
            after,
        }
    }

    fn store(&mut self, after: String) {
        if let Err(error) = replace(&self.file, &format!("{} {after}", self.stream)) {
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
        let wanted: Vec<_> = records.iter().filter(|it| wakes_worker(it)).collect();
        let failed = if wanted.is_empty() {
            None
        } else {
            let answer = hand_over(&self.invoker, &json!({ "Records": wanted })).await;
            first_failure(&answer.map_err(|error| error.to_string())?, &records)
        };
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_dynamodb::types::AttributeValue;
    use futures_util::{
        FutureExt,
        future::{BoxFuture, ready},
    };
    use serde_json::value::RawValue;
    use shared::runtime::{EventHandler, Handled, InvocationError};

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
        let mut position = Position::read(folder.path(), "arn:1");
        assert_eq!(position.after, None);
        position.store("100000000000000000007".to_owned());
        let read = Position::read(folder.path(), "arn:1");
        assert_eq!(read.after.as_deref(), Some("100000000000000000007"));
        // It says nothing of another table, or of the same after it was made anew.
        assert_eq!(Position::read(folder.path(), "arn:2").after, None);
    }

    /// Writes down what it is handed, and asks for what it is told to ask for again.
    #[derive(Default)]
    struct Probe {
        handed: Mutex<Vec<Vec<String>>>,
        refused: Mutex<Option<String>>,
    }

    impl EventHandler for Probe {
        fn handle<'a>(
            &'a self,
            event: &'a RawValue,
        ) -> BoxFuture<'a, Result<Handled, InvocationError>> {
            let event: Value = serde_json::from_str(event.get()).unwrap();
            let records = event["Records"].as_array().unwrap();
            let name = |record: &Value| record["dynamodb"]["Keys"]["pk"]["S"].to_string();
            let refused = self.refused.lock().unwrap().clone();
            let failed = records.iter().find(|it| Some(name(it)) == refused);
            let failed = failed.map(|it| json!({"itemIdentifier": sequence(it)}));
            self.handed
                .lock()
                .unwrap()
                .push(records.iter().map(name).collect());
            let answer = json!({"batchItemFailures": Vec::from_iter(failed)});
            let handled = Handled {
                route: "stream",
                answer,
                is_complete: true,
            };
            ready(Ok(handled)).boxed()
        }
    }

    const TABLE: &str = "weapp";

    /// A table with rows of these partition keys, written in this order, and its stream.
    async fn feed(names: &[&str]) -> (Database, ChangeFeed) {
        let running = crate::Database::start(None, 0).await.unwrap();
        let client = crate::database_client(&running.endpoint);
        crate::create_table(&client, TABLE).await.unwrap();
        crate::enable_stream(&client, TABLE).await.unwrap();
        for name in names {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            let put = client.put_item().table_name(TABLE);
            let put = put.item("pk", text(name)).item("sk", text("SAGA"));
            put.send().await.unwrap();
        }
        let database = running.inner.clone();
        running.stop().await;
        let feed = ChangeFeed::open(database.clone(), TABLE).unwrap();
        (database, feed)
    }

    fn following(feed: &ChangeFeed, probe: &Arc<Probe>, folder: &Path) -> Following {
        Following {
            position: Position::read(folder, &feed.arn),
            feed: feed.clone(),
            invoker: Invoker::new(probe.clone()),
            pause: FIRST_PAUSE,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_are_handed_over_behind_what_was_handled_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (_database, feed) = feed(&["SAGA#1", "PROBE", "SAGA#2", "SAGA#3", "PROBE#2"]).await;
        let probe = Arc::new(Probe::default());
        let quoted = |name: &str| format!("\"{name}\"");
        *probe.refused.lock().unwrap() = Some(quoted("SAGA#2"));
        let mut first = following(&feed, &probe, folder.path());
        assert!(first.batch().await.is_err());
        assert!(first.batch().await.is_err());
        *probe.refused.lock().unwrap() = None;
        let mut second = following(&feed, &probe, folder.path());
        assert_eq!(second.batch().await, Ok(Some(())));
        assert_eq!(second.batch().await, Ok(None));
        let handed = std::mem::take(&mut *probe.handed.lock().unwrap());
        let all = ["SAGA#1", "SAGA#2", "SAGA#3"].map(quoted);
        assert_eq!(handed, [&all[..], &all[1..], &all[1..]]);
    }
}
