//! Serves HTTP over TCP: locally it takes the place of Lambda's runtime.

use std::{future::Future, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    middleware,
    serve::ListenerExt,
};
use shared::edge::Peer;
use tokio::net::TcpListener;

/// Serves `app` until `stop` completes, and finishes the requests in flight. Each request carries the
/// [`Peer`] that opened its connection.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let app = app.layer(middleware::map_request(add_peer));
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop)
    .await
}

async fn add_peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Peer(peer.ip()));
    request
}
