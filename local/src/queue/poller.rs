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
    polled: Polled,
    running: JoinSet<()>,
}

/// What is polled. Cheap to clone.
#[derive(Clone)]
struct Polled {
    queue: Queue,
    /// The queue's name, in what is handed over.
    name: &'static str,
    invoker: Invoker,
    /// What the function's schedule asks for.
    task: &'static str,
}

impl Poller {
    /// Hands the events of `queue` to `invoker`, the function `webhooks`.
    #[must_use]
    pub fn webhooks(queue: Queue, invoker: Invoker) -> Self {
        Self::new(Polled {
            queue,
            name: "webhooks",
            invoker,
            task: "retry-webhooks",
        })
    }

    /// Hands the messages to users in `queue` to `invoker`, the function `messages`.
    #[must_use]
    pub fn messages(queue: Queue, invoker: Invoker) -> Self {
        Self::new(Polled {
            queue,
            name: "messages",
            invoker,
            task: "send-messages",
        })
    }

    fn new(polled: Polled) -> Self {
        Self {
            polled,
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
                let polled = self.polled.clone();
                task = Some(self.running.spawn(async move { polled.ask().await }));
            }
            match self.polled.queue.receive(BATCH, WAIT).await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => self.invoke(messages),
                Err(error) => {
                    let queue = self.polled.name;
                    tracing::warn!(queue, %error, "a queue can't be asked for messages");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn invoke(&mut self, messages: Vec<Received>) {
        let polled = self.polled.clone();
        self.running
            .spawn(async move { polled.invoke(messages).await });
    }

    /// Hands over what is there now, and waits until it is handled. How many messages there were.
    pub async fn run_once(&self) -> usize {
        let Ok(messages) = self.polled.queue.receive(BATCH, Duration::ZERO).await else {
            return 0;
        };
        let count = messages.len();
        if count > 0 {
            self.polled.invoke(messages).await;
        }
        count
    }

    /// Has the function work on what is due, and waits until it has.
    pub async fn run_schedule(&self) {
        self.polled.ask().await;
    }
}

impl Polled {
    /// Asks for what is due.
    async fn ask(&self) {
        let event = json!({"task": self.task});
        // The log line of the invocation says what went wrong.
        drop(hand_over(&self.invoker, &event).await);
    }

    /// Deletes what was handled; the rest comes back.
    async fn invoke(&self, messages: Vec<Received>) {
        let records = messages.iter().map(|message| record(self.name, message));
        let event = json!({"Records": records.collect::<Vec<_>>()});
        let Ok(answer) = hand_over(&self.invoker, &event).await else {
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
            if let Err(error) = self.queue.delete(&message.receipt_handle).await {
                tracing::warn!(queue = self.name, %error, "a message can't be deleted from its queue");
            }
        }
    }
}

/// A message of the queue with this name, as Lambda hands it over.
fn record(queue: &str, message: &Received) -> Value {
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:local:0:{queue}"),
        "awsRegion": "local",
    })
}
