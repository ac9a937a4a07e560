//! HTTP over TCP, as Lambda's adapter is HTTP over events.

use std::{future::Future, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware,
    serve::ListenerExt,
};
use shared::edge::Peer;
use tokio::net::TcpListener;

/// Serves `app`, telling it who opened each connection, until `stop` is done; requests that are
/// running then get their answers.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
    });
    let app = app.layer(middleware::map_request(name_peer));
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop)
    .await
}

async fn name_peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Peer(peer.ip()));
    request
}
