//! `scripts/smoke.sh`, which asks a deployment a few questions.

use std::process::{Command, Output};

use axum::{Router, http::StatusCode};
use e2e::binaries;

use crate::gateway::{ANY_PORT, Running, folder};

async fn smoke(url: &str) -> Output {
    let mut command = Command::new(binaries::workspace().join("scripts/smoke.sh"));
    command.arg(url).env("SMOKE_WAIT", "0");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap()
}

/// Standard output, a line for each question, and standard error.
fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_works_passes() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    // As people paste it.
    let output = smoke(&format!("{}/", gateway.api.url)).await;
    let (lines, errors) = texts(&output);
    assert!(output.status.success(), "{lines}{errors}");
    assert!(lines.lines().count() >= 7, "{lines}");
    assert!(
        lines.lines().all(|line| line.starts_with("  ok ")),
        "{lines}"
    );
}

/// A server that answers every request like this; its URL.
async fn server(status: StatusCode, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_answers_otherwise_fails() {
    for (status, body) in [
        (StatusCode::OK, r#"{"code":200,"message":"ok","data":{}}"#),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"message":"Service Unavailable"}"#,
        ),
        (
            StatusCode::UNAUTHORIZED,
            r#"{"code":401,"data":null,"reason":"token_missing"}"#,
        ),
    ] {
        let output = smoke(&server(status, body).await).await;
        let (lines, errors) = texts(&output);
        assert!(!output.status.success(), "{lines}");
        assert!(errors.contains("does not answer as it should"), "{errors}");
        let failed = lines.lines().filter(|line| line.starts_with("  FAILED"));
        assert!(failed.count() >= 5, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_fails() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let output = smoke(&format!("http://{address}")).await;
    assert!(!output.status.success());
    assert!(texts(&output).1.contains("does not answer"));
}
