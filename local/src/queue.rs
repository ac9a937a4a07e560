//! The queues of `make run`: what webhooks and messages to users need of SQS, by its JSON protocol.
//! Signatures are verified as SQS verifies them, and errors have its codes. It shares no code with the client.
//!
//! Messages are in memory: a restart forgets those that were not handled.

mod answer;
mod messages;
mod poller;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{OriginalUri, Request, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::time::{Instant, sleep};

use crate::objects::StoreKeys;
use answer::SqsError;
use messages::{MAX_BODY, Messages};

pub use poller::Poller;

/// The account in the queue's URL; there is only one.
const ACCOUNT: &str = "0";
/// Entries of a batch at most.
const MAX_BATCH: usize = 10;
/// Bytes of a request at most: a batch, escaped.
const MAX_REQUEST: usize = 4 * MAX_BODY;
/// How often a call that waits for messages looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long such a call can wait.
const LONGEST_WAIT: u64 = 20;
/// How long a message is hidden, and how long it can be (seconds).
const HIDDEN: u64 = 360;
const LONGEST_HIDDEN: u64 = 43_200;

/// A queue. Cheap to clone.
#[derive(Clone)]
pub struct MessageQueue(Arc<Inner>);

/// Queues with one address, which calls name by their URLs. Cheap to clone.
#[derive(Clone)]
pub struct MessageQueues(Arc<[MessageQueue]>);

struct Inner {
    name: String,
    keys: StoreKeys,
    clock: Clock,
    messages: Messages,
}

impl MessageQueue {
    /// An empty queue with this name, for callers who have `keys`. `clock` tells when hidden messages
    /// come back.
    #[must_use]
    pub fn new(name: &str, keys: StoreKeys, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            keys,
            clock,
            messages: Messages::default(),
        }))
    }

    /// The path of the URL of the queue with this name, below that of [`Self::router`].
    #[must_use]
    pub fn path(name: &str) -> String {
        format!("/{ACCOUNT}/{name}")
    }

    /// SQS's API. Can be nested below any prefix.
    pub fn router(&self) -> Router {
        MessageQueues::new([self.clone()]).router()
    }

    /// The messages that are there, hidden ones too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.messages.len()
    }

    /// Whether no message is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MessageQueues {
    /// These queues.
    #[must_use]
    pub fn new(queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        Self(queues.into_iter().collect())
    }

    /// SQS's API. Can be nested below any prefix.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// The queue that a call names. No call is answered whose caller does not have its keys.
    fn called(&self, head: &Parts, body: &Bytes) -> Result<&MessageQueue, SqsError> {
        let is_signed = |queue: &&MessageQueue| {
            let now = queue.0.clock.now();
            queue.0.keys.verify_sqs(head, body, now)
        };
        let mut known = self.0.iter().filter(is_signed).peekable();
        if known.peek().is_none() {
            return Err(SqsError::SIGNATURE);
        }
        let Addressed { queue_url } = read(body)?;
        let mut named =
            known.filter(|queue| queue_url.ends_with(&MessageQueue::path(&queue.0.name)));
        named.next().ok_or(SqsError::NO_QUEUE)
    }
}

async fn serve(
    State(queues): State<MessageQueues>,
    OriginalUri(original): OriginalUri,
    request: Request,
) -> Response {
    let (mut head, body) = request.into_parts();
    head.uri = original;
    let Ok(body) = to_bytes(body, MAX_REQUEST).await else {
        return SqsError::TOO_LARGE.into_response();
    };
    let queue = match queues.called(&head, &body) {
        Ok(queue) => queue,
        Err(error) => return error.into_response(),
    };
    let target = head.headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."));
    let operation = target.unwrap_or_default().to_owned();
    match queue.0.call(&operation, &body).await {
        Ok(answer) => answer::success(&answer),
        Err(error) => error.into_response(),
    }
}

/// What every call has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Addressed {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Send {
    message_body: String,
    #[serde(default)]
    delay_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendBatch {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(flatten)]
    message: Send,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    #[serde(default = "one")]
    max_number_of_messages: usize,
    #[serde(default)]
    wait_time_seconds: u64,
    visibility_timeout: Option<u64>,
}

fn one() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receipt {
    receipt_handle: String,
}

impl Inner {
    async fn call(&self, operation: &str, body: &Bytes) -> Result<Value, SqsError> {
        match operation {
            "SendMessage" => self.send(&read(body)?),
            "SendMessageBatch" => self.send_batch(read(body)?),
            "ReceiveMessage" => self.receive(&read(body)?).await,
            "DeleteMessage" => {
                let Receipt { receipt_handle } = read(body)?;
                self.messages.delete(&receipt_handle)?;
                Ok(json!({}))
            }
            _ => Err(SqsError::UNKNOWN_OPERATION),
        }
    }

    fn send(&self, message: &Send) -> Result<Value, SqsError> {
        let now = self.clock.now().as_millisecond();
        let sent = self
            .messages
            .send(&message.message_body, message.delay_seconds, now);
        Ok(json!({"MessageId": sent?}))
    }

    fn send_batch(&self, SendBatch { entries }: SendBatch) -> Result<Value, SqsError> {
        match entries.len() {
            0 => return Err(SqsError::EMPTY_BATCH),
            1..=MAX_BATCH => {}
            _ => return Err(SqsError::TOO_MANY_ENTRIES),
        }
        let bytes = entries.iter().map(|entry| entry.message.message_body.len());
        if bytes.sum::<usize>() > MAX_BODY {
            return Err(SqsError::BATCH_TOO_LONG);
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for Entry { id, message } in &entries {
            match self.send(message) {
                Ok(sent) => successful.push(json!({"Id": id, "MessageId": sent["MessageId"]})),
                Err(error) => failed.push(json!({
                    "Id": id, "Code": error.code, "SenderFault": error.is_of_sender(),
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    async fn receive(&self, receive: &Receive) -> Result<Value, SqsError> {
        let most = receive.max_number_of_messages;
        let hidden = receive.visibility_timeout.unwrap_or(HIDDEN);
        let wait = receive.wait_time_seconds;
        if !(1..=MAX_BATCH).contains(&most) || hidden > LONGEST_HIDDEN || wait > LONGEST_WAIT {
            return Err(SqsError::INVALID);
        }
        let end = Instant::now() + Duration::from_secs(wait);
        loop {
            let now = self.clock.now().as_millisecond();
            let messages = self.messages.receive(most, hidden, now);
            if !messages.is_empty() || Instant::now() >= end {
                return Ok(json!({"Messages": messages}));
            }
            sleep(LOOK).await;
        }
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, SqsError> {
    serde_json::from_slice(body).map_err(|_| SqsError::INVALID)
}
