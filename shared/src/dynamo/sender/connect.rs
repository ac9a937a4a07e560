//! Connections to DynamoDB and to the object store: HTTP/1.1, pooled, on the one TLS stack of all clients.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use aws_sdk_dynamodb::error::BoxError;
use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{net::TcpStream, time::timeout};
use tower::Service;

use crate::{
    clock::{Clock, Moment},
    tls::{Authorities, client_config},
};

/// Name resolution, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(1);
/// How long connections are kept that answer nothing, also while the instance is frozen.
const POOL_IDLE: Duration = Duration::from_secs(90);

/// A client with its pool of connections.
type HttpClient = Client<Connector, Full<Bytes>>;

/// The connections of an instance. The pool gives out the one that was used last, and can't know
/// that a server, or a gateway on the way, has dropped it during a freeze. There may be as many dead
/// ones as calls were made at the same time, more than a call has attempts. So after one has failed,
/// or after [`POOL_IDLE`], no connection of before is used again.
pub(crate) struct Connections {
    connector: Connector,
    pool: Mutex<Pool>,
    clock: Clock,
}

struct Pool {
    client: HttpClient,
    number: u64,
    /// When a connection of it last answered, or when it began.
    answered: Moment,
}

/// A pool to send one request with.
pub(crate) struct Lent {
    pub(crate) client: HttpClient,
    /// Which pool it is.
    number: u64,
}

impl Connections {
    /// Connections that are verified by `authorities`; `clock` tells how long they were silent.
    pub(crate) fn new(authorities: Authorities, clock: Clock) -> Self {
        let connector = Connector::new(authorities);
        let pool = Pool {
            client: client(connector.clone()),
            number: 0,
            answered: Moment::now(&clock),
        };
        Self {
            connector,
            pool: Mutex::new(pool),
            clock,
        }
    }

    /// The pool, a new one if this one has been silent for too long.
    pub(crate) fn lend(&self) -> Lent {
        let now = Moment::now(&self.clock);
        let mut pool = self.lock();
        if now.since(pool.answered) > POOL_IDLE {
            self.replace(&mut pool, now);
        }
        Lent {
            client: pool.client.clone(),
            number: pool.number,
        }
    }

    /// A connection of this pool answered.
    pub(crate) fn answered(&self, lent: &Lent) {
        let mut pool = self.lock();
        if pool.number == lent.number {
            pool.answered = Moment::now(&self.clock);
        }
    }

    /// A connection of this pool failed, or could not be made. Calls that are on their way keep
    /// theirs.
    pub(crate) fn failed(&self, lent: &Lent) {
        let mut pool = self.lock();
        if pool.number == lent.number {
            self.replace(&mut pool, Moment::now(&self.clock));
        }
    }

    fn replace(&self, pool: &mut Pool, now: Moment) {
        *pool = Pool {
            client: client(self.connector.clone()),
            number: pool.number + 1,
            answered: now,
        };
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(connector: Connector) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector)
}

/// Connects within [`CONNECT`]. Its clones resume each other's TLS sessions.
#[derive(Clone)]
pub(crate) struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    fn new(authorities: Authorities) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_tls_config(client_config(authorities));
        let schemes = if authorities == Authorities::None {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        Self(schemes.enable_http1().wrap_connector(tcp))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.0.call(uri);
        Box::pin(async move { timeout(CONNECT, connection).await? })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn connections_are_not_used_again_after_a_long_silence() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let connections = Connections::new(Authorities::None, Clock::Manual(manual.clone()));
        let first = connections.lend();
        manual.advance_seconds(90);
        assert_eq!(connections.lend().number, first.number);
        connections.answered(&first);
        manual.advance_seconds(90);
        assert_eq!(connections.lend().number, first.number);
        manual.advance_seconds(1);
        let second = connections.lend();
        assert_ne!(second.number, first.number);
        // A call that began before says nothing about the new ones.
        connections.failed(&first);
        assert_eq!(connections.lend().number, second.number);
        connections.failed(&second);
        assert_ne!(connections.lend().number, second.number);
    }

    #[test]
    fn the_clients_build() {
        for authorities in [Authorities::None, Authorities::Amazon, Authorities::Any] {
            drop(Connections::new(authorities, Clock::System));
        }
    }
}
