//! One attempt to deliver an event.

use std::{error::Error, time::Duration};

use http::{
    HeaderName, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use reqwest::{Client, Response, redirect};
use shared::{
    clock::Clock,
    request::deadline,
    tls::{Authorities, client_config},
    webhooks::Event,
};
use tokio::time::timeout;

use crate::{
    addresses::{AllowedAddresses, AllowedResolver, NotPublic},
    retry_after,
    settings::Receiver,
    signature::signatures,
};

/// Name resolution, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(5);
/// What an attempt leaves of the invocation's time, to write down how it ended.
const SETTLE: Duration = Duration::from_secs(6);
const AGENT: &str = concat!("weapp-serverless/", env!("CARGO_PKG_VERSION"));

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Calls receivers. Cheap to clone; keep one per instance.
#[derive(Clone)]
pub struct Sender {
    http: Client,
    timeout: Duration,
    clock: Clock,
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// With a status of success.
    Delivered,
    /// With 410: the receiver wants no more events.
    Gone,
    /// It failed, and is worth another one.
    Failed(Failure),
}

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// A word, or the status.
    pub reason: String,
    /// The pause that the receiver asks for.
    pub retry_after: Option<Duration>,
    /// Whether it was unreachable or did not answer in time, which the next attempt would wait for, too.
    pub is_unresponsive: bool,
}

impl Failure {
    /// Without an answer.
    fn unresponsive(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            retry_after: None,
            is_unresponsive: true,
        }
    }
}

impl Sender {
    /// Calls these addresses only, and waits this long for an answer.
    ///
    /// Each attempt connects anew: its address is checked, no receiver's connections are kept open, and
    /// none is used that died while the instance was frozen.
    ///
    /// # Panics
    /// At start, when TLS can't be set up.
    pub fn new(addresses: AllowedAddresses, timeout: Duration, clock: Clock) -> Self {
        #[expect(clippy::expect_used, reason = "start-up: without TLS nothing can work")]
        let http = Client::builder()
            .tls_backend_preconfigured(client_config(Authorities::Any))
            .dns_resolver(AllowedResolver(addresses))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            // It could lead to a private address, and to a receiver that has no secret.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            http,
            timeout,
            clock,
        }
    }

    /// How much time an attempt needs of an invocation, with what is written down then.
    pub fn longest_attempt(&self) -> Duration {
        self.timeout + SETTLE
    }

    /// Posts the event. The status is the answer: a body is not read, however long it is or takes.
    pub async fn attempt(&self, receiver: &Receiver, event: &Event) -> Attempt {
        let left = deadline::remaining().map(|left| left.saturating_sub(SETTLE));
        let limit = left.map_or(self.timeout, |left| left.min(self.timeout));
        match timeout(limit, self.post(receiver, event)).await {
            Ok(Ok(answer)) => self.judge(&answer),
            Ok(Err(error)) => Attempt::Failed(Failure::unresponsive(reason(&error))),
            Err(_) => Attempt::Failed(Failure::unresponsive("timeout")),
        }
    }

    async fn post(&self, receiver: &Receiver, event: &Event) -> reqwest::Result<Response> {
        let timestamp = self.clock.now_seconds();
        let signatures = signatures(&receiver.secrets, &event.id, timestamp, &event.payload);
        self.http
            .post(receiver.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header(ID, &event.id)
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signatures)
            .body(event.payload.clone())
            .send()
            .await
    }

    fn judge(&self, answer: &Response) -> Attempt {
        let status = answer.status();
        if status.is_success() {
            return Attempt::Delivered;
        }
        if status == StatusCode::GONE {
            return Attempt::Gone;
        }
        let asked = answer.headers().get(RETRY_AFTER);
        let asked = asked.and_then(|value| value.to_str().ok());
        Attempt::Failed(Failure {
            reason: format!("status {}", status.as_u16()),
            retry_after: asked.and_then(|value| retry_after::parse(value, &self.clock)),
            is_unresponsive: false,
        })
    }
}

/// A word for what went wrong. The library's own texts have the URL, which can hold a secret.
fn reason(error: &reqwest::Error) -> &'static str {
    if is_not_public(error) {
        "not a public address"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "unreachable"
    } else {
        "no answer"
    }
}

fn is_not_public(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return true;
        }
        source = cause.source();
    }
    false
}
