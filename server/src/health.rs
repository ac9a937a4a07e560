//! `server health`: for the health check of a container, which has no other program to ask with.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use gateway::{PORT, host};
use shared::config::Env;

/// For the connection, and for each read and write.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// More than the head of an answer.
const HEAD: u64 = 8 * 1024;

/// Asks the server that has the same settings for `GET /health`.
///
/// # Errors
/// A text for the user, when it does not answer 200.
pub fn check_health(env: &Env) -> Result<(), String> {
    let address = SocketAddr::new(reachable(host(env)), PORT.read(env));
    env.validate().map_err(|errors| errors.to_string())?;
    let head = ask(address).map_err(|error| format!("{address}: {error}"))?;
    if head.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        let line = head.split(|byte| *byte == b'\r').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
        Err(format!("{address}: {line}"))
    }
}

fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    stream.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// The address under which this machine reaches a socket that listens on all of them.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
