//! A load generator: keep-alive connections, each with one request in flight. It writes and reads
//! bytes on one thread, to leave the other cores to what is measured.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
    time::sleep,
};

use crate::stats::Samples;

/// The requests of one connection: each is made from the body of the last response, which is empty
/// at first.
pub type Source = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

/// What an answer 503 asks the client to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long requests are sent.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Before samples are recorded.
    pub warm_up: Duration,
    /// While they are.
    pub duration: Duration,
}

/// What a load met.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The latency of each request.
    pub samples: Samples,
    /// How often the server closed a connection instead of answering.
    pub closed: usize,
    /// How often it answered 503, as it does when more than `MAX_CONCURRENCY` requests arrive at once.
    pub unavailable: usize,
}

impl Outcome {
    /// Requests per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn rate(&self, timing: Timing) -> f64 {
        self.samples.len() as f64 / timing.duration.as_secs_f64()
    }

    /// Connections closed and answers 503 per second, those of the warm-up included.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn refusals(&self, timing: Timing) -> [f64; 2] {
        let seconds = (timing.warm_up + timing.duration).as_secs_f64();
        [self.closed, self.unavailable].map(|count| count as f64 / seconds)
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends the requests of all sources, each over a connection of its own.
pub async fn run(address: SocketAddr, sources: Vec<Source>, timing: Timing) -> Outcome {
    let from = Instant::now() + timing.warm_up;
    let tasks = LocalSet::new();
    let connections: Vec<_> = sources
        .into_iter()
        .map(|source| tasks.spawn_local(connection(address, source, from, from + timing.duration)))
        .collect();
    tasks.await;
    let mut all = Outcome::default();
    for connection in connections {
        let outcome = connection.await.expect("a connection of the load");
        all.samples.extend(outcome.samples);
        all.closed += outcome.closed;
        all.unavailable += outcome.unavailable;
    }
    all
}

async fn connection(
    address: SocketAddr,
    mut next: Source,
    from: Instant,
    until: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stream = connect(address).await;
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut request = next(&[]);
    loop {
        let sent = Instant::now();
        let reply = exchange(&mut stream, &request, &mut buffer).await;
        let answered = Instant::now();
        if answered >= until {
            return outcome;
        }
        match reply {
            Reply::Success => {
                if answered >= from {
                    outcome.samples.push(answered - sent);
                }
                request = next(body(&buffer));
            }
            Reply::Unavailable => {
                outcome.unavailable += 1;
                sleep(RETRY_AFTER.min(until - answered)).await;
            }
            Reply::Closed => {
                outcome.closed += 1;
                stream = connect(address).await;
            }
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server takes connections");
    stream.set_nodelay(true).unwrap();
    stream
}

/// What came back for a request.
enum Reply {
    Success,
    Unavailable,
    /// Nothing: the server closed the connection.
    Closed,
}

/// Sends a request and reads its response.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Reply {
    buffer.clear();
    if stream.write_all(request).await.is_err() {
        return Reply::Closed;
    }
    while !is_complete(buffer) {
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return Reply::Closed;
        }
    }
    if buffer.starts_with(b"HTTP/1.1 503 ") {
        return Reply::Unavailable;
    }
    assert!(
        buffer.starts_with(b"HTTP/1.1 200 "),
        "a request of the benchmark failed: {}",
        String::from_utf8_lossy(buffer)
    );
    Reply::Success
}

/// Where the head of a response ends.
fn head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")
}

/// The body of a complete response.
fn body(bytes: &[u8]) -> &[u8] {
    head(bytes).map_or(&[], |end| &bytes[end + 4..])
}

/// Whether a response with a `Content-Length` is complete.
fn is_complete(bytes: &[u8]) -> bool {
    let Some(head) = head(bytes) else {
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
