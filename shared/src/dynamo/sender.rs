//! Calls to DynamoDB: the SDK's serializers and parsers, without its orchestrator
//! (docs/decisions/0019-dynamodb-without-orchestrator.md).
//!
//! A call is serialized once. Each attempt is signed anew, because Lambda freezes an instance
//! wherever it is, also between signing and sending: such a request arrives with a signature that
//! has expired, and is sent again with another.

mod connect;
mod endpoint;
mod operation;
mod sign;

use std::{error::Error, marker::PhantomData, time::Duration};

use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use tokio::time::{Instant, timeout};

pub(crate) use self::connect::{Connections, Lent};
use self::{
    endpoint::Endpoint,
    operation::{Codec, ErasedFailure, Serialized},
    sign::Signer,
};
use super::{ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE, UPSTREAM, failure::Failure};
use crate::{
    clock::Clock,
    config::DynamoSettings,
    random::Random,
    request::deadline,
    resilience::retry::{Retries, RetryPolicy},
    telemetry::{self, metrics},
    tls::Authorities,
};

pub(super) use operation::Operation;

/// An attempt, with the connection that it may need.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Attempts, and the pauses between them, in a request that has this much time left.
const OPERATION: Duration = Duration::from_secs(4);
/// The SDK would begin with 100 retries, whatever the number of calls; so this many in ten seconds
/// are always allowed here.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: ATTEMPTS,
    first_pause: FIRST_PAUSE,
    longest_pause: LONGEST_PAUSE,
    always_per_second: 10,
};
/// Far more than DynamoDB answers (1 MB of data, 4 MB in a transaction), however it is written.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why an operation got no output.
pub(super) type OperationFailure<O> = Failure<Box<<O as Operation>::Error>>;

/// Sends operations. Keep one per instance: it owns the connections and the budget of retries. It
/// has no `Debug`, because it holds credentials.
pub(super) struct Sender {
    /// Why there is none, if there is none: each call then fails with it.
    target: Result<Target, String>,
    retries: Retries,
}

/// Where requests go, and what signs them.
struct Target {
    uri: Uri,
    signer: Signer,
    connections: Connections,
}

/// A call that is ready to be sent, also more than once.
pub(super) struct Call<'a, O> {
    sender: &'a Sender,
    request: Serialized,
    operation: PhantomData<O>,
}

impl Sender {
    /// For the table of `settings`; `random` decides the pauses between attempts.
    ///
    /// Built from what Lambda sets: looking through profiles and metadata services would cost
    /// milliseconds of each cold start.
    pub(super) fn new(settings: DynamoSettings, random: Random) -> Self {
        Self {
            target: Target::new(settings),
            retries: Retries::new(UPSTREAM, RETRY, random),
        }
    }

    /// Serializes `input`.
    ///
    /// # Errors
    /// [`Failure::Construction`].
    pub(super) fn call<O: Operation>(
        &self,
        input: O::Input,
    ) -> Result<Call<'_, O>, OperationFailure<O>> {
        let request = O::codec()
            .serialize(Input::erase(input))
            .map_err(typed::<O>)?;
        Ok(Call {
            sender: self,
            request,
            operation: PhantomData,
        })
    }

    /// Up to three attempts, within the request's deadline. Measured as one.
    async fn send(&self, codec: &Codec, request: &Serialized) -> Result<Output, ErasedFailure> {
        let target = self.target.as_ref();
        let target = target.map_err(Failure::construction)?;
        let start = Instant::now();
        let end = start + deadline::cap(OPERATION);
        let attempt = || target.attempt(codec, request);
        let is_transient =
            |failure: &ErasedFailure| failure.is_transient(|error| codec.metadata(error));
        let attempts = self.retries.idempotent(attempt, is_transient);
        let outcome = deadline::scope(Some(end), attempts).await;
        metrics::upstream_latency(UPSTREAM, start.elapsed());
        outcome
    }
}

impl<O: Operation> Call<'_, O> {
    /// Sends it, and again if that fails for a moment.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub(super) async fn send(&self) -> Result<O::Output, OperationFailure<O>> {
        let output = self.sender.send(O::codec(), &self.request).await;
        let output = output.map_err(typed::<O>)?;
        let wrong = |_| Failure::construction("the SDK's parser is another's");
        output.downcast::<O::Output>().map_err(wrong)
    }
}

/// The failure with the operation's own type of error.
fn typed<O: Operation>(failure: ErasedFailure) -> OperationFailure<O> {
    match failure {
        Failure::Service { error, status } => match error.downcast::<O::Error>() {
            Ok(error) => Failure::Service {
                error: Box::new(error),
                status,
            },
            Err(_) => Failure::construction("the SDK's error is another's"),
        },
        Failure::Unreadable { status, why } => Failure::Unreadable { status, why },
        Failure::Timeout => Failure::Timeout,
        Failure::Connection(text) => Failure::Connection(text),
        Failure::Construction(text) => Failure::Construction(text),
    }
}

impl Target {
    fn new(settings: DynamoSettings) -> Result<Self, String> {
        let (region, url) = (&settings.region, settings.endpoint.as_deref());
        let Endpoint { uri, region } = Endpoint::resolve(region, url, &settings.table)?;
        let authorities = if uri.scheme_str() == Some("http") {
            Authorities::None
        } else if url.is_none() && is_amazons(&uri) {
            Authorities::Amazon
        } else {
            Authorities::Any
        };
        Ok(Self {
            uri,
            signer: Signer::new(region, settings.credentials),
            connections: Connections::new(authorities, Clock::System),
        })
    }

    /// Signs, sends and reads.
    async fn attempt(&self, codec: &Codec, request: &Serialized) -> Result<Output, ErasedFailure> {
        let now = Clock::System.now();
        let request = self.signer.signed(&self.uri, request, now)?;
        let lent = self.connections.lend();
        let answer = timeout(deadline::cap(ATTEMPT), exchange(&lent, request));
        let answer = answer.await.unwrap_or(Err(Failure::Timeout));
        match &answer {
            Ok(_) => self.connections.answered(&lent),
            Err(_) => self.connections.failed(&lent),
        }
        codec.parse(answer?)
    }
}

async fn exchange(
    lent: &Lent,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, ErasedFailure> {
    let connection = capture_connection(&mut request);
    let answer = lent.client.request(request).await;
    let answer = answer.map_err(|error| broken(&error))?;
    if answer.status().is_server_error()
        && let Some(connection) = connection.connection_metadata().as_ref()
    {
        // What fails may be this server alone: the next attempt reaches another.
        connection.poison();
    }
    read(answer).await
}

/// Whether Amazon itself signs the certificate of this endpoint. In China and in other partitions
/// with domains of their own others may.
fn is_amazons(uri: &Uri) -> bool {
    uri.host()
        .is_some_and(|host| host.ends_with(".amazonaws.com"))
}

/// Reads the whole body.
async fn read(answer: Response<Incoming>) -> Result<Response<Bytes>, ErasedFailure> {
    let (head, body) = answer.into_parts();
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::Unreadable {
            status: head.status,
            why: "it is too large",
        }),
        Err(error) => Err(broken(&*error)),
    }
}

fn broken(error: &dyn Error) -> ErasedFailure {
    Failure::Connection(telemetry::describe(error))
}
