//! Listening on a port that may be taken.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::TcpListener;

use crate::StartError;

/// Listens on `address`, whose port `variable` has chosen.
pub(crate) async fn listen(
    variable: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => StartError::PortTaken(address, variable),
            _ => StartError::Listen(address.to_string(), error),
        })
}
