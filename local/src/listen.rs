//! Opens listening sockets.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::TcpListener;

use crate::StartError;

/// Listens on `wanted`, whose port comes from the setting `variable`. Also returns the actual
/// address: port 0 stands for any free port.
pub(crate) async fn listen(
    variable: &'static str,
    wanted: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let other = |error| StartError::Listen(wanted.to_string(), error);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => StartError::PortTaken(wanted, variable),
            _ => other(error),
        })?;
    let actual = listener.local_addr().map_err(other)?;
    Ok((listener, actual))
}
