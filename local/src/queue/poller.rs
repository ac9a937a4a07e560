//! Hands the messages of a queue to a function, as Lambda does, and asks it from time to time for what is
//! due, as the schedule of template.yaml does.

use std::time::Duration;

use gateway::hand_over;
use serde_json::{Value, json};
use shared::{
    queue::{Queue, Received},
    runtime::Invoker,
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};

/// Messages of an invocation at most, as in template.yaml.
const BATCH: u8 = 10;
/// Invocations at the same time.
const INVOCATIONS: usize = 8;
/// How often the function is asked for what is due. The template asks once a minute.
const SCHEDULE: Duration = Duration::from_secs(5);
/// How long the queue is asked for messages at a time.
const WAIT: Duration = Duration::from_secs(1);
/// How long the queue is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Polls a queue for a function.
pub struct Poller {
    queue: Queue,
    invoker: Invoker,
    running: JoinSet<()>,
}

impl Poller {
    /// Hands the messages of `queue` to `invoker`.
    #[must_use]
    pub fn new(queue: Queue, invoker: Invoker) -> Self {
        Self {
            queue,
            invoker,
            running: JoinSet::new(),
        }
    }

    /// Polls until it is dropped, and its invocations end with it.
    pub async fn run(mut self) {
        let mut next_task = Instant::now() + SCHEDULE;
        let mut task: Option<AbortHandle> = None;
        loop {
            while self.running.len() >= INVOCATIONS {
                self.running.join_next().await;
            }
            while self.running.try_join_next().is_some() {}
            let is_running = task.as_ref().is_some_and(|task| !task.is_finished());
            if !is_running && Instant::now() >= next_task {
                next_task = Instant::now() + SCHEDULE;
                let invoker = self.invoker.clone();
                let retry = async move { retry(&invoker).await };
                task = Some(self.running.spawn(retry));
            }
            match self.queue.receive(BATCH, WAIT).await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => self.invoke(messages),
                Err(error) => {
                    tracing::warn!(%error, "the queue of webhooks");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn invoke(&mut self, messages: Vec<Received>) {
        let (queue, invoker) = (self.queue.clone(), self.invoker.clone());
        self.running
            .spawn(async move { invoke(&queue, &invoker, messages).await });
    }

    /// Hands over what is there now, and waits until it is handled. How many messages there were.
    pub async fn run_once(&self) -> usize {
        let Ok(messages) = self.queue.receive(BATCH, Duration::ZERO).await else {
            return 0;
        };
        let count = messages.len();
        if count > 0 {
            invoke(&self.queue, &self.invoker, messages).await;
        }
        count
    }

    /// Has the function work on what is due, and waits until it has.
    pub async fn run_schedule(&self) {
        retry(&self.invoker).await;
    }
}

async fn retry(invoker: &Invoker) {
    let event = json!({"task": "retry-webhooks"});
    // The log line of the invocation says what went wrong.
    drop(hand_over(invoker, &event).await);
}

/// Deletes what was handled; the rest comes back.
async fn invoke(queue: &Queue, invoker: &Invoker, messages: Vec<Received>) {
    let event = json!({"Records": messages.iter().map(record).collect::<Vec<_>>()});
    let Ok(answer) = hand_over(invoker, &event).await else {
        // It has logged why.
        return;
    };
    let failures = answer["batchItemFailures"].as_array();
    let has_failed = |message: &Received| {
        failures.is_some_and(|failures| {
            let mut ids = failures.iter().map(|failure| &failure["itemIdentifier"]);
            ids.any(|id| *id == message.message_id.as_str())
        })
    };
    for message in messages.iter().filter(|message| !has_failed(message)) {
        if let Err(error) = queue.delete(&message.receipt_handle).await {
            tracing::warn!(%error, "a message of the queue of webhooks");
        }
    }
}

/// A message as Lambda hands it over.
fn record(message: &Received) -> Value {
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:0:webhooks",
        "awsRegion": "local",
    })
}
