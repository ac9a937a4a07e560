//! Opens listening sockets.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::TcpListener;

use crate::StartError;

/// How many ports behind the wanted one are tried for a suggestion.
const SUGGESTIONS: u16 = 100;

/// Listens on `wanted`, whose port comes from the setting `variable`. Also returns the actual
/// address: port 0 stands for any free port.
///
/// # Errors
/// [`StartError::PortTaken`] and [`StartError::Listen`].
pub async fn listen(
    variable: &'static str,
    wanted: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let other = |error| StartError::Listen(wanted.to_string(), error);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => StartError::PortTaken(wanted, remedy(variable, wanted)),
            _ => other(error),
        })?;
    let actual = listener.local_addr().map_err(other)?;
    Ok((listener, actual))
}

/// What to do about a port in use: another one, which is free now.
fn remedy(variable: &str, wanted: SocketAddr) -> String {
    let is_free = |port: &u16| std::net::TcpListener::bind((wanted.ip(), *port)).is_ok();
    let next = wanted.port().saturating_add(1);
    match (next..=next.saturating_add(SUGGESTIONS)).find(is_free) {
        Some(free) => format!("choose another port, for example {variable}={free}"),
        None => format!("let the system choose a free port: {variable}=0"),
    }
}
