//! The server stops, and no request is lost.

use std::{
    io::{BufReader, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use e2e::{http::Answer, http1::Message, within_patience};
use rustix::process::Signal;
use tokio::{task::JoinHandle, time::sleep};

use super::{Running, until};
use crate::harness::LambdaHarness;

/// What became of the requests of one connection.
#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    answered: AtomicUsize,
    /// Connections that the server said it would close.
    closed: AtomicUsize,
}

/// Sends one request after the other on one connection, until the server says that it closes it.
#[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
fn keep_asking(address: &str, request: &str, counts: &Counts) {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        counts.sent.fetch_add(1, Ordering::SeqCst);
        if output.write_all(request.as_bytes()).is_err() {
            return;
        }
        let Ok(Some(answer)) = Message::read(&mut input) else {
            return;
        };
        assert_eq!(answer.start_line, "HTTP/1.1 200 OK");
        counts.answered.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == Some("close") {
            counts.closed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        // Some of them are idle at the moment of the stop.
        let pause = u64::try_from(counts.sent.load(Ordering::SeqCst) % 20).unwrap();
        std::thread::sleep(Duration::from_millis(pause));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_when_it_stops_under_load() {
    const CONNECTIONS: usize = 16;
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[]).await;
    let tokens = server.log_in(&harness, "alice").await;
    let address = server.api.url.strip_prefix("http://").unwrap().to_owned();
    let request = format!(
        "GET /api/v1/user/info HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
        tokens.access
    );
    let counts = Arc::new(Counts::default());
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, request) = (address.clone(), request.clone());
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || keep_asking(&address, &request, &counts))
        })
        .collect();
    within_patience("some load", async {
        while counts.answered.load(Ordering::SeqCst) < 100 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // One that is still waiting for WeChat when the signal comes.
    let slow = wechat_simulator::Fault {
        latency_ms: Some(700),
        ..wechat_simulator::Fault::default()
    };
    harness.wechat.set_faults([slow]).unwrap();
    let (api, code) = (server.api.clone(), harness.code("bob"));
    let login = tokio::spawn(async move { api.login(&code).await });
    within_patience("the call to WeChat", async {
        while harness.code2session_calls() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.process.signal(Signal::TERM);
    assert_eq!(
        server.process.wait_exit().await.code(),
        Some(0),
        "{}",
        server.process.logs()
    );
    login.await.unwrap().ok(200);
    for client in clients {
        client.join().unwrap();
    }
    let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    assert_eq!(count(&counts.sent), count(&counts.answered));
    assert_eq!(count(&counts.closed), CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_balancers_are_told_before_the_port_closes() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[("SHUTDOWN_DELAY_SECONDS", "2")]).await;
    let tokens = server.log_in(&harness, "alice").await;
    server.process.signal(Signal::TERM);
    until(&server, 503, "stopping").await;
    // Everything else goes on.
    server.api.info(&tokens.access).await.ok(200);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
}

/// A login that WeChat answers after this long; the call has begun.
async fn slow_login(harness: &LambdaHarness, server: &Running, ms: u64) -> JoinHandle<Answer> {
    let slow = wechat_simulator::Fault {
        latency_ms: Some(ms),
        ..wechat_simulator::Fault::default()
    };
    harness.wechat.set_faults([slow]).unwrap();
    let (calls, code) = (harness.code2session_calls(), harness.code("alice"));
    let api = server.api.clone();
    let login = tokio::spawn(async move { api.login(&code).await });
    within_patience("the call to WeChat", async {
        while harness.code2session_calls() == calls {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    login
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_request_is_logged_and_exits_1() {
    let harness = LambdaHarness::start().await;
    let more = [("SHUTDOWN_SECONDS", "1"), ("WECHAT_TIMEOUT_MS", "7000")];
    let server = Running::with(&harness, &more).await;
    let login = slow_login(&harness, &server, 6000).await;
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(1));
    assert!(server.process.logs().contain("requests unanswered"));
    login.abort();
}

/// Proxies keep some connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_no_unfinished_requests() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[("SHUTDOWN_SECONDS", "1")]).await;
    let address = server.api.url.strip_prefix("http://").unwrap().to_owned();
    let mut idle = TcpStream::connect(&address).unwrap();
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n");
    idle.write_all(request.as_bytes()).unwrap();
    let mut input = BufReader::new(idle.try_clone().unwrap());
    let answer = Message::read(&mut input).unwrap().unwrap();
    assert_eq!(answer.start_line, "HTTP/1.1 200 OK");
    server.process.signal(Signal::TERM);
    let code = server.process.wait_exit().await.code();
    assert_eq!(code, Some(0), "{}", server.process.logs());
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_second_ctrl_c_stops_it_at_once() {
    let harness = LambdaHarness::start().await;
    let more = [("WECHAT_TIMEOUT_MS", "7000")];
    let server = Running::with(&harness, &more).await;
    let login = slow_login(&harness, &server, 1000).await;
    server.process.signal(Signal::TERM);
    server.process.wait_for_line("\"stopping\"").await;
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
    login.await.unwrap().ok(200);
    let server = Running::with(&harness, &more).await;
    let login = slow_login(&harness, &server, 6000).await;
    server.process.signal(Signal::INT);
    server.process.wait_for_line("\"stopping\"").await;
    server.process.signal(Signal::INT);
    assert_eq!(server.process.wait_exit().await.code(), Some(1));
    assert!(server.process.logs().contain("by a second Ctrl-C"));
    login.abort();
}
