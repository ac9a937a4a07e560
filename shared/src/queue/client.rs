//! The calls.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderName, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    QueueError,
    sign::{SERVICE, sign},
};
use crate::{
    clock::Clock,
    config::QueueSettings,
    dynamo::{Connections, Lent},
    random::Random,
    request::deadline,
    resilience::retry::{Retries, RetryPolicy},
    sigv4::Signers,
    telemetry::{self, metrics},
    tls::Authorities,
};

/// Its name in metrics.
const UPSTREAM: &str = "sqs";
/// An attempt, with the connection that it may need.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Attempts, and the pauses between them, in a request that has this much time left.
const OPERATION: Duration = Duration::from_secs(4);
/// Messages that one call sends at most.
const BATCH: usize = 10;
/// Bytes that one call sends at most: 256 KiB was the limit of a batch until 2025, and is enough.
const BATCH_BYTES: usize = 256 * 1024;
/// More than any answer: ten messages of 1 MiB, escaped.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long a call waits for messages: less than an attempt.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// What AWS's logs show as the caller.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("weapp-serverless/", env!("CARGO_PKG_VERSION")));
const TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// A queue. Cheap to clone; connects at the first call.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    url: String,
    endpoint: Uri,
    authorities: Authorities,
    signers: Signers,
    connections: OnceLock<Connections>,
    retries: Retries,
    clock: Clock,
}

/// A message that was received.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Received {
    /// The queue's id of it.
    pub message_id: String,
    /// With what it is deleted.
    pub receipt_handle: String,
    /// Its content.
    pub body: String,
    /// What the queue says of it.
    #[serde(default)]
    pub attributes: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    #[serde(default)]
    failed: Vec<NotSent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NotSent {
    id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    sender_fault: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Handed {
    #[serde(default)]
    messages: Vec<Received>,
}

/// An error, as the JSON protocol has it.
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default, rename = "__type")]
    code: String,
}

impl Queue {
    /// The queue of `settings`; `clock` dates signatures, `random` decides the pauses between attempts.
    #[must_use]
    pub fn new(settings: QueueSettings, clock: Clock, random: Random) -> Self {
        let QueueSettings {
            url,
            endpoint,
            region,
            credentials,
        } = settings;
        let is_plain = endpoint.scheme_str() == Some("http");
        let host = endpoint.host().unwrap_or_default();
        let authorities = if is_plain {
            Authorities::None
        } else if host.ends_with(".amazonaws.com") {
            Authorities::Amazon
        } else {
            Authorities::Any
        };
        Self(Arc::new(Inner {
            url,
            endpoint,
            authorities,
            signers: Signers::new(SERVICE, region, credentials),
            connections: OnceLock::new(),
            retries: Retries::new(UPSTREAM, RetryPolicy::DEFAULT, random),
            clock,
        }))
    }

    /// Sends messages with these bodies, in as few calls as there can be. After an error any of them may
    /// have been sent.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn send(&self, bodies: &[String]) -> Result<(), QueueError> {
        for batch in batches(bodies) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    /// What of a batch was not sent is sent again by itself.
    async fn send_batch(&self, bodies: &[String]) -> Result<(), QueueError> {
        let entry =
            |(at, body): (usize, &String)| json!({"Id": at.to_string(), "MessageBody": body});
        let entries: Vec<_> = bodies.iter().enumerate().map(entry).collect();
        let sent: Sent = self
            .call(
                "SendMessageBatch",
                &json!({"QueueUrl": self.0.url, "Entries": entries}),
            )
            .await?;
        for NotSent {
            id,
            code,
            sender_fault,
        } in sent.failed
        {
            let body = id.parse().ok().and_then(|at: usize| bodies.get(at));
            match body {
                Some(body) if !sender_fault => self.send_one(body).await?,
                _ => return Err(QueueError::of(StatusCode::BAD_REQUEST, &code)),
            }
        }
        Ok(())
    }

    async fn send_one(&self, body: &str) -> Result<(), QueueError> {
        let input = json!({"QueueUrl": self.0.url, "MessageBody": body});
        self.call::<Value>("SendMessage", &input).await.map(drop)
    }

    /// Deletes a message that was received.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        let input = json!({"QueueUrl": self.0.url, "ReceiptHandle": receipt});
        self.call::<Value>("DeleteMessage", &input).await.map(drop)
    }

    /// At most `most` (1 to 10) messages; none if none came within `wait`, which is at most a second.
    /// Lambda does this for functions.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn receive(&self, most: u8, wait: Duration) -> Result<Vec<Received>, QueueError> {
        let input = json!({
            "QueueUrl": self.0.url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait.min(MAX_WAIT).as_secs(),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
        });
        let handed: Handed = self.call("ReceiveMessage", &input).await?;
        Ok(handed.messages)
    }

    /// Up to three attempts within the request's deadline, measured as one call.
    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        input: &impl Serialize,
    ) -> Result<T, QueueError> {
        let start = Instant::now();
        let body = serde_json::to_vec(input).map_err(|error| construction(&error))?;
        let body = Bytes::from(body);
        let attempt = || self.attempt(operation, &body);
        let attempts = self.0.retries.idempotent(attempt, QueueError::is_transient);
        let end = start + deadline::cap(OPERATION);
        let outcome = deadline::scope(Some(end), attempts).await;
        let label = outcome.as_ref().err().map(QueueError::metric_label);
        metrics::upstream(UPSTREAM, label.map(str::to_owned), start.elapsed());
        // The parser's own words can quote the answer.
        let unreadable = |_| QueueError::Unavailable("an answer that is not the queue's".into());
        serde_json::from_slice(&outcome?).map_err(unreadable)
    }

    async fn attempt(&self, operation: &'static str, body: &Bytes) -> Result<Bytes, QueueError> {
        let request = self.request(operation, body)?;
        let connections = &self.0.connections;
        let connections =
            connections.get_or_init(|| Connections::new(self.0.authorities, self.0.clock.clone()));
        let lent = connections.lend();
        let answer = timeout(deadline::cap(ATTEMPT), exchange(&lent, request)).await;
        // An answer that refuses or throttles is an answer: its connection is well.
        let Ok(Ok((status, body))) = answer else {
            connections.failed(&lent);
            return Err(match answer {
                Ok(Err(error)) => error,
                _ => QueueError::Timeout,
            });
        };
        connections.answered(&lent);
        if status.is_success() {
            // Some calls answer nothing.
            let nothing = Bytes::from_static(b"{}");
            return Ok(if body.is_empty() { nothing } else { body });
        }
        let error: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        Err(QueueError::of(status, &error.code))
    }

    /// Signed anew for each attempt: an instance may have been frozen in between.
    fn request(
        &self,
        operation: &'static str,
        body: &Bytes,
    ) -> Result<Request<Full<Bytes>>, QueueError> {
        let target = HeaderValue::from_str(&format!("AmazonSQS.{operation}"));
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.0.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, TYPE);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(
            HeaderName::from_static("x-amz-target"),
            target.map_err(|error| construction(&error))?,
        );
        let signer = self.0.signers.current();
        sign(&signer, &mut request, body, self.0.clock.now())?;
        Ok(request)
    }
}

/// The bodies in parts, each of which one call can send.
fn batches(bodies: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = bodies;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |body: &&String| {
            bytes += body.len();
            bytes <= BATCH_BYTES
        };
        // One that is too large goes alone, and the queue says so.
        let most = rest.len().min(BATCH);
        let count = rest[..most]
            .iter()
            .take_while(fits)
            .count()
            .max(1)
            .min(most);
        let (batch, others) = rest.split_at(count);
        rest = others;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Fails where there is no answer.
async fn exchange(
    lent: &Lent,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), QueueError> {
    let answer = lent.client.request(request).await;
    let answer: Response<Incoming> = answer.map_err(|error| broken(&error))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| broken(&*error))?.to_bytes();
    Ok((head.status, body))
}

fn broken(error: &dyn std::error::Error) -> QueueError {
    QueueError::Unavailable(telemetry::describe(error))
}

fn construction(error: &impl ToString) -> QueueError {
    QueueError::Construction(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AwsCredentials, AwsKeys};

    fn lengths(bodies: &[usize]) -> Vec<Vec<usize>> {
        let bodies: Vec<_> = bodies.iter().map(|length| "x".repeat(*length)).collect();
        let batches = batches(&bodies);
        batches
            .map(|batch| batch.iter().map(String::len).collect())
            .collect()
    }

    #[test]
    fn a_batch_has_ten_messages_and_256_kib_at_most() {
        let none: Vec<Vec<usize>> = Vec::new();
        assert_eq!(lengths(&[]), none);
        assert_eq!(lengths(&[1; 11]), [vec![1; 10], vec![1]]);
        let half = BATCH_BYTES / 2;
        assert_eq!(lengths(&[half, half, 1]), [vec![half, half], vec![1]]);
        let large = BATCH_BYTES + 1;
        assert_eq!(lengths(&[1, large, 1]), [vec![1], vec![large], vec![1]]);
    }

    fn queue(endpoint: &str) -> Queue {
        let settings = QueueSettings {
            url: format!("{endpoint}/0/q"),
            endpoint: endpoint.parse().unwrap(),
            region: "us-east-1".into(),
            credentials: AwsCredentials::new(AwsKeys {
                id: "AKID".into(),
                secret: "hunter2".into(),
                session: None,
            }),
        };
        Queue::new(settings, Clock::System, Random::System)
    }

    #[test]
    fn a_call_is_signed_for_sqs_and_names_its_operation() {
        let body = Bytes::from_static(b"{}");
        let queue = queue("https://sqs.us-east-1.amazonaws.com");
        let request = queue.request("SendMessage", &body).unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(header("x-amz-target"), "AmazonSQS.SendMessage");
        assert_eq!(header("content-type"), "application/x-amz-json-1.0");
        let authorization = header("authorization");
        assert!(
            authorization.contains("/us-east-1/sqs/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target"),
            "{authorization}"
        );
        assert!(!format!("{request:?}").contains("Signature="));
    }

    /// Time stands still but for what is waited for.
    #[tokio::test(start_paused = true)]
    async fn a_silent_queue_is_given_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let queue = queue(&format!("http://{}", listener.local_addr().unwrap()));
        let start = Instant::now();
        let sent = queue.send(&["x".to_owned()]).await;
        assert_eq!(sent, Err(QueueError::Timeout));
        let waited = start.elapsed();
        assert!(waited > ATTEMPT && waited <= OPERATION, "{waited:?}");
    }
}
