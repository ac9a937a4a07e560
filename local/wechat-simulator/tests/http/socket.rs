//! Over a real socket, with a client that reads the raw bytes.

use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wechat_simulator::{Fault, Garbage};

use crate::support::{APP, SECRET, TestSimulator};

async fn connect(wechat: &TestSimulator) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().nest("/_wechat", wechat.simulator.router());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    TcpStream::connect(address).await.unwrap()
}

/// Sends a code2Session call and reads until the server closes the connection.
async fn exchange(stream: &mut TcpStream, code: &str, keep_alive: bool) -> Vec<u8> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let request = format!(
        "GET /_wechat/sns/jscode2session?appid={APP}&secret={SECRET}&js_code={code}&grant_type=authorization_code HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    // A reset is an error here, an orderly close is not: both mean "no response".
    let _ = stream.read_to_end(&mut received).await;
    received
}

#[tokio::test]
async fn a_login_works_over_a_socket() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let mut stream = connect(&wechat).await;
    let received = String::from_utf8(exchange(&mut stream, &code, false).await).unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n"), "{received}");
    assert!(
        received.contains("content-type: text/plain\r\n"),
        "{received}"
    );
    assert!(received.contains("\"openid\""), "{received}");
}

#[tokio::test]
async fn a_reset_closes_the_connection_before_the_first_byte_and_the_code_is_used_up() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let reset = Fault {
        reset: true,
        times: Some(1),
        ..Fault::default()
    };
    wechat.simulator.set_faults([reset]).unwrap();
    let mut stream = connect(&wechat).await;
    // With keep-alive only the server closes the connection.
    assert_eq!(exchange(&mut stream, &code, true).await, b"");
    assert_eq!(wechat.code_to_session(&code).await["errcode"], 40163);
    assert_eq!(wechat.simulator.calls("/sns/jscode2session"), 2);
}

#[tokio::test]
async fn a_truncated_response_is_a_complete_http_message() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    let half = Fault {
        garbage: Garbage::Truncated,
        ..Fault::default()
    };
    wechat.simulator.set_faults([half]).unwrap();
    let mut stream = connect(&wechat).await;
    let received = String::from_utf8(exchange(&mut stream, &code, false).await).unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{received}"
    );
    assert!(body.starts_with("{\"openid\""), "{received}");
}
