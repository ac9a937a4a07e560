//! A load generator: keep-alive connections, each with one request in flight. It writes and reads
//! bytes on one thread, to leave the other cores to what is measured.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};

use crate::{stats::Samples, traffic::Codes};

/// The number of connections.
pub const CONNECTIONS: usize = 64;
/// The time before samples are recorded.
const WARM_UP: Duration = Duration::from_secs(2);

/// The requests to send.
pub enum Load {
    /// The same bytes again and again, different ones on each connection.
    Same(Vec<Vec<u8>>),
    /// Bytes generated for each request.
    Generated(fn(&mut Codes) -> Vec<u8>),
}

/// Runs the load for `duration` after a warm-up and returns the latency of each request.
pub async fn run(address: SocketAddr, load: Load, duration: Duration) -> Samples {
    let load = Rc::new(load);
    let codes = Rc::new(RefCell::new(Codes::default()));
    let from = Instant::now() + WARM_UP;
    let tasks = LocalSet::new();
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|index| {
            let (load, codes) = (load.clone(), codes.clone());
            let next = move || match &*load {
                Load::Same(requests) => requests[index % requests.len()].clone(),
                Load::Generated(make) => make(&mut codes.borrow_mut()),
            };
            tasks.spawn_local(connection(address, next, from, from + duration))
        })
        .collect();
    tasks.await;
    let mut samples = Samples::default();
    for connection in connections {
        samples.extend(connection.await.expect("a connection of the load"));
    }
    samples
}

async fn connection(
    address: SocketAddr,
    next: impl Fn() -> Vec<u8>,
    from: Instant,
    until: Instant,
) -> Samples {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server takes connections");
    stream.set_nodelay(true).unwrap();
    let mut samples = Samples::default();
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let request = next();
        let sent = Instant::now();
        stream.write_all(&request).await.expect("the server reads");
        read_response(&mut stream, &mut buffer).await;
        let answered = Instant::now();
        if answered >= until {
            return samples;
        }
        if sent >= from {
            samples.push(answered - sent);
        }
    }
}

async fn read_response(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    while !is_complete(buffer) {
        let count = stream.read_buf(buffer).await.expect("the server answers");
        assert!(
            count > 0,
            "the server closed a connection: {}",
            String::from_utf8_lossy(buffer)
        );
    }
    assert!(
        buffer.starts_with(b"HTTP/1.1 200 "),
        "a request of the benchmark failed: {}",
        String::from_utf8_lossy(buffer)
    );
}

/// Whether a response with a `Content-Length` is complete.
fn is_complete(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let length = bytes[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(b"content-length:".len())?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
    });
    let length: usize = length.expect("a response with a content-length");
    bytes.len() >= head + 4 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\nab";
        assert!(is_complete(response));
        assert!((0..response.len()).all(|length| !is_complete(&response[..length])));
    }
}
