//! Serves HTTP/1.1 over TCP: where there is no Lambda, this takes the place of its runtime and of API
//! Gateway.
//!
//! hyper speaks the protocol. What is added here is what a server on an open port needs besides:
//! limits on how long a client may take ([`ServerLimits`]) and on how many may be connected, answers
//! to what is not HTTP, and connections that end so that the client learns of it.

mod body;
mod connection;
mod connections;
mod phase;
mod refusal;
mod request;
mod stream;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use self::connections::{Connections, Slot};

/// How long a client may take, and how much of the server it may occupy.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// How many connections may be open. Above that, of the client address with the most of them,
    /// the one that has let the server wait longest is closed.
    pub connections: usize,
    /// For a connection without a request.
    pub idle: Duration,
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// For the body of a request, from the end of its head.
    pub body: Duration,
    /// For what is left of a body when its answer is ready.
    pub rest: Duration,
    /// For the client to read the last answer, before a connection is closed.
    pub linger: Duration,
    /// After the stop, for connections without a request to bring one more, whose answer then closes
    /// them: what a client sends at this moment is not lost. Zero closes them at once.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            // Half of the usual limit of open files.
            connections: 512,
            idle: Duration::from_mins(1),
            head: Duration::from_secs(10),
            body: Duration::from_secs(5),
            rest: Duration::from_millis(500),
            linger: Duration::from_secs(1),
            drain: Duration::ZERO,
        }
    }
}

/// What all connections share.
struct Server {
    app: Router,
    limits: ServerLimits,
    /// Turns true when the server stops.
    stopping: watch::Sender<bool>,
}

/// Serves `app` until `stop` completes, and finishes the requests in flight. Each request carries the
/// peer that opened its connection ([`Arrival`](shared::edge::Arrival)).
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_within(ServerLimits::default(), listener, app, stop).await
}

/// The same with other limits.
///
/// # Errors
/// When the listener fails.
pub async fn serve_within(
    limits: ServerLimits,
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let server = Arc::new(Server {
        app,
        limits,
        stopping: watch::Sender::new(false),
    });
    let connections = Connections::new(limits.connections);
    let mut tasks = JoinSet::new();
    // Outside of the loop, which the stop ends: a full server lets an accepted connection wait.
    let mut waiting = None;
    let accepting = async {
        loop {
            let (_, peer) = waiting.insert(accept(&listener).await);
            let slot = connections.admit(peer.ip()).await;
            if let Some((stream, peer)) = waiting.take() {
                let server = Arc::clone(&server);
                tasks.spawn(serve_connection(server, stream, peer, slot));
            }
            while tasks.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = stop => {}
        () = accepting => {}
    }
    server.stopping.send_replace(true);
    for (stream, peer) in waiting.into_iter().chain(backlog(listener)) {
        let slot = connections.admit(peer.ip()).await;
        tasks.spawn(serve_connection(Arc::clone(&server), stream, peer, slot));
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// What the kernel has accepted already, and would reset with the listener.
fn backlog(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else {
        return Vec::new();
    };
    let accepted = std::iter::from_fn(|| listener.accept().ok());
    let registered = accepted.filter_map(|(stream, peer)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    });
    registered.collect()
}

/// The next connection. Errors of one connection are not the listener's; when there are no more file
/// descriptors, waiting is all that helps.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection can't be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

async fn serve_connection(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, slot: Slot) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    connection::serve(&server, stream, peer.ip(), &slot).await;
}
