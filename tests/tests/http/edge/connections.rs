//! Connections of the server: how long a client may take, and what it is told when one ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use e2e::within_patience;
use local::ServerLimits;
use serde_json::Value;
use shared::{
    api::{ApiError, Raw, Reason},
    clock::Clock,
    config::Env,
    instance::Instance,
    random::Random,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::sleep,
};

/// A time limit that no test reaches.
const LONG: Duration = Duration::from_mins(5);
/// A time limit that a test waits for.
const SHORT: Duration = Duration::from_millis(50);

/// More than the buffers of a connection hold, in bytes.
const LARGE: usize = 32 * 1024 * 1024;

const PATIENT: ServerLimits = ServerLimits {
    connections: 100,
    idle: LONG,
    head: LONG,
    body: LONG,
    rest: LONG,
    linger: LONG,
    drain: Duration::ZERO,
};

/// What `/held` does.
struct Held {
    /// Has a permit for each request that has arrived.
    arrived: Semaphore,
    /// A request is answered for each permit.
    release: Semaphore,
}

/// A server with routes that read their body, or not.
struct Server {
    address: SocketAddr,
    held: Arc<Held>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(limits: ServerLimits) -> Self {
        let vars = [("MAX_CONCURRENCY", "2"), ("REQUEST_TIMEOUT_MS", "29000")];
        let instance = Instance::new(Env::new(vars), Clock::System, Random::System);
        let held = Arc::new(Held {
            arrived: Semaphore::new(0),
            release: Semaphore::new(0),
        });
        let holding = Arc::clone(&held);
        let routes = Router::new()
            .route("/ok", get(StatusCode::NO_CONTENT))
            .route("/large", get(async || "x".repeat(LARGE)))
            .route(
                "/held",
                get(async move || {
                    holding.arrived.add_permits(1);
                    holding.release.acquire().await.unwrap().forget();
                    StatusCode::NO_CONTENT
                }),
            )
            .route("/read", post(async |Raw(body): Raw| body.len().to_string()))
            .route(
                "/refuse",
                post(async || ApiError::new(Reason::TokenMissing)),
            );
        let app = instance.app(routes).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(local::serve_within(limits, listener, app, stopped));
        Self {
            address,
            held,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> Connection {
        Connection {
            stream: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// A connection on which this was sent.
    async fn sent(&self, bytes: impl AsRef<[u8]>) -> Connection {
        let mut connection = self.connect().await;
        connection.send(bytes).await;
        connection
    }
}

/// A client that says byte by byte what it sends.
struct Connection {
    stream: TcpStream,
    /// What was read behind the last answer.
    read: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Answer {
    fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }

    /// A failure with the envelope, and the headers of every answer.
    fn fails(&self, status: u16, reason: &str) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        assert_eq!(
            (self.status, &body["reason"], &body["code"]),
            (status, &reason.into(), &status.into()),
            "{self:?}"
        );
        for header in [
            "x-request-id: ",
            "cache-control: no-store",
            "content-length: ",
            "date: ",
        ] {
            let count = self.head.matches(&format!("\r\n{header}")).count();
            assert_eq!(count, 1, "{header} in {self:?}");
        }
    }
}

impl Connection {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn answer(&mut self) -> Answer {
        let head = within_patience("an answer's head", async {
            loop {
                let end = self.read.windows(4).position(|end| end == b"\r\n\r\n");
                if let Some(end) = end {
                    break self.read.drain(..end + 4).collect::<Vec<_>>();
                }
                let read = self.stream.read_buf(&mut self.read).await.unwrap();
                assert_ne!(read, 0, "closed instead of answered");
            }
        })
        .await;
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        within_patience("an answer's body", async {
            while self.read.len() < length {
                assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0);
            }
        })
        .await;
        let body = self.read.drain(..length).collect();
        Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// Waits until the server has closed it, and returns what came before.
    async fn closed(mut self) -> String {
        let reading = self.stream.read_to_end(&mut self.read);
        within_patience("the end of the connection", reading)
            .await
            .unwrap();
        String::from_utf8(self.read).unwrap()
    }

    async fn works(&mut self) {
        self.send(request("GET /ok", "")).await;
        assert_eq!(self.answer().await.status, 204);
    }
}

fn request(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: a.example\r\n{more}\r\n")
}

#[tokio::test]
async fn after_an_early_answer_the_rest_of_a_small_body_is_read() {
    let server = Server::start(PATIENT).await;
    let mut connection = server.connect().await;
    for body in ["content-length: 14", "transfer-encoding: chunked"] {
        let head = request("POST /refuse", &format!("{body}\r\n"));
        connection.send(head).await;
        // A segment of its own.
        tokio::task::yield_now().await;
        if body.starts_with("content") {
            connection.send(r#"{"code":"abc"}"#).await;
        } else {
            connection.send("3\r\nabc\r\n").await;
            connection.send("0\r\n\r\n").await;
        }
        let answer = connection.answer().await;
        answer.fails(401, "token_missing");
        assert!(!answer.closes(), "{answer:?}");
    }
    connection.works().await;
}

#[tokio::test]
async fn an_early_answer_says_that_the_connection_ends_when_the_body_does_not_come() {
    let limits = ServerLimits {
        rest: SHORT,
        linger: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    for body in [
        "content-length: 14",
        "transfer-encoding: chunked",
        // Not read at all: it is too much.
        "content-length: 10000000",
        // Not asked for.
        "content-length: 14\r\nexpect: 100-continue",
    ] {
        let head = request("POST /refuse", &format!("{body}\r\n"));
        let mut connection = server.sent(head).await;
        let answer = connection.answer().await;
        answer.fails(401, "token_missing");
        assert!(answer.closes(), "{body}: {answer:?}");
        assert_eq!(connection.closed().await, "");
    }
}

#[tokio::test]
async fn an_early_answer_is_not_lost_in_a_reset_while_the_client_still_sends() {
    let server = Server::start(PATIENT).await;
    let head = request("POST /refuse", "content-length: 1000000\r\n");
    let mut connection = server.sent(head).await;
    // All of it, before the answer is read.
    connection.send(vec![b'x'; 1_000_000]).await;
    let answer = connection.answer().await;
    answer.fails(401, "token_missing");
    assert!(answer.closes());
}

#[tokio::test]
async fn a_head_that_stops_is_answered_408() {
    let limits = ServerLimits {
        head: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    for start in ["G", "GET /ok HTTP/1.1\r\nhost: a\r\nx: y"] {
        let mut connection = server.sent(start).await;
        let answer = connection.answer().await;
        answer.fails(408, "request_timeout");
        assert!(answer.closes());
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_before_and_after_its_first_request() {
    let limits = ServerLimits {
        idle: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    assert_eq!(server.connect().await.closed().await, "");
    let mut connection = server.connect().await;
    connection.works().await;
    assert_eq!(connection.closed().await, "");
}

#[tokio::test]
async fn bodies_that_drip_take_no_place_from_others() {
    let server = Server::start(PATIENT).await;
    let head = request("POST /read", "content-length: 4\r\n");
    let mut dripping = Vec::new();
    for _ in 0..10 {
        dripping.push(server.sent(format!("{head}ab")).await);
    }
    let mut other = server.connect().await;
    for _ in 0..20 {
        other.works().await;
    }
    for connection in &mut dripping {
        connection.send("cd").await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "4"));
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_answered_408() {
    let limits = ServerLimits {
        body: SHORT,
        rest: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    let head = request("POST /read", "content-length: 4\r\n");
    let mut connection = server.sent(format!("{head}ab")).await;
    let answer = connection.answer().await;
    answer.fails(408, "request_timeout");
    assert!(answer.closes());
}

#[tokio::test]
async fn what_is_not_http_is_answered_with_an_envelope() {
    let server = Server::start(PATIENT).await;
    let (long, many) = ("a".repeat(100_000), "a: b\r\n".repeat(200));
    for (bytes, status, reason) in [
        ("GET\r\n\r\n".to_owned(), 400, "invalid_request"),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), 400, "invalid_request"),
        (
            "GET /ok HTTP/3.0\r\n\r\n".to_owned(),
            400,
            "invalid_request",
        ),
        (request("GET /ok", "no colon\r\n"), 400, "invalid_request"),
        (request("GET /o k", ""), 400, "invalid_request"),
        (
            request("POST /ok", "content-length: x\r\n"),
            400,
            "invalid_request",
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            400,
            "invalid_request",
        ),
        (request(&format!("GET /{long}"), ""), 414, "uri_too_long"),
        (
            request("GET /ok", &format!("a: {long}\r\n")),
            431,
            "headers_too_large",
        ),
        (request("GET /ok", &many), 431, "headers_too_large"),
    ] {
        let mut connection = server.connect().await;
        // Behind a good one, too.
        connection.send(request("GET /ok", "")).await;
        assert_eq!(connection.answer().await.status, 204);
        connection.send(&bytes).await;
        let answer = connection.answer().await;
        answer.fails(status, reason);
        assert!(answer.closes(), "{answer:?}");
        let mut pipelined = server.sent(request("GET /ok", "") + &bytes).await;
        assert_eq!(pipelined.answer().await.status, 204);
        pipelined.answer().await.fails(status, reason);
    }
}

#[tokio::test]
async fn a_request_needs_exactly_one_valid_host() {
    let server = Server::start(PATIENT).await;
    let mut connection = server.connect().await;
    for hosts in [
        "",
        "host: a\r\nhost: a\r\n",
        "host: a\r\nHost: b\r\n",
        "host:\r\n",
        "host: a b\r\n",
        "host: a/b\r\n",
        "host: user@a\r\n",
        "host: a:port\r\n",
    ] {
        let request = format!("GET /ok HTTP/1.1\r\n{hosts}\r\n");
        connection.send(request).await;
        connection.answer().await.fails(400, "invalid_request");
        // It was a whole request, so the next one is understood.
        connection.works().await;
    }
    let mut old = server.sent("GET /ok HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.answer().await.status, 204);
}

#[tokio::test]
async fn an_escaped_letter_in_a_path_is_that_letter() {
    let server = Server::start(PATIENT).await;
    for (path, status) in [("/%6fk", 204), ("/%6F%6B?a=%6f", 204), ("/ok%2F", 404)] {
        let line = format!("GET {path}");
        let mut connection = server.sent(request(&line, "")).await;
        assert_eq!(connection.answer().await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_full_server_closes_the_connection_that_waits_longest() {
    let limits = ServerLimits {
        connections: 3,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    // One with a body that drips, one with half a head, one that is idle.
    let head = request("POST /read", "content-length: 4\r\n");
    let body = server.sent(format!("{head}ab")).await;
    let mut waiting = server.connect().await;
    waiting.works().await;
    waiting.send("GET /ok HTTP/1.1\r\nhost").await;
    let mut idle = server.connect().await;
    idle.works().await;
    for older in [body, waiting, idle] {
        let mut newer = server.connect().await;
        newer.works().await;
        assert_eq!(older.closed().await, "");
        // It stays, and is younger than the rest.
        tokio::spawn(newer.closed());
    }
}

#[tokio::test]
async fn a_server_that_stops_waits_for_requests_and_not_for_clients() {
    let limits = ServerLimits {
        linger: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    let mut idle = server.connect().await;
    idle.works().await;
    let half = server.sent("GET /ok HTTP/1.1\r\nhost").await;
    let silent = server.connect().await;
    let head = request("POST /read", "content-length: 2\r\n");
    let mut busy = server.sent(format!("{head}a")).await;
    // All of it has been read when this has an answer.
    idle.works().await;
    server.stop.send(()).unwrap();
    for connection in [idle, silent] {
        assert_eq!(connection.closed().await, "");
    }
    half.closed().await;
    assert!(!server.serving.is_finished());
    busy.send("b").await;
    assert_eq!(busy.answer().await.status, 200);
    drop(busy);
    within_patience("the end of the server", server.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_connection_that_waits_for_a_place_at_the_stop_is_served() {
    let limits = ServerLimits {
        connections: 1,
        drain: LONG,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    let mut first = server.sent(request("GET /held", "")).await;
    let arrived = within_patience("the first request", server.held.arrived.acquire());
    arrived.await.unwrap().forget();
    let second = server.sent(request("GET /ok", "")).await;
    // While that one waits, this one is in the kernel's queue.
    let third = server.sent(request("GET /ok", "")).await;
    // Long enough for the server to accept the second one, and to look for a place for it.
    sleep(SHORT * 4).await;
    server.stop.send(()).unwrap();
    server.held.release.add_permits(1);
    assert_eq!(first.answer().await.status, 204);
    drop(first);
    for mut waiting in [second, third] {
        let answer = waiting.answer().await;
        assert!(answer.closes());
        assert_eq!(answer.status, 204);
    }
    within_patience("the end of the server", server.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_not_cut_by_the_stop() {
    let limits = ServerLimits {
        linger: SHORT,
        drain: SHORT,
        ..PATIENT
    };
    let server = Server::start(limits).await;
    let mut slow = server.sent(request("GET /large", "")).await;
    within_patience("the start of the answer", slow.stream.readable())
        .await
        .unwrap();
    server.stop.send(()).unwrap();
    // Longer than what idle connections have.
    sleep(SHORT * 6).await;
    assert_eq!(slow.answer().await.body.len(), LARGE);
    drop(slow);
    within_patience("the end of the server", server.serving)
        .await
        .unwrap()
        .unwrap();
}
