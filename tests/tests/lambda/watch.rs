//! `make invoke-login`, `make watch` and `make invoke`: functions under `cargo lambda watch`, called by
//! `cargo lambda invoke`.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use e2e::{
    binaries,
    http::Answer,
    process::{Process, Spawn},
};
use rustix::process::Signal;

#[test]
fn make_invoke_login_logs_in() {
    // Builds what the script runs, so that the script has nothing to wait for.
    binaries::path("login");
    let mut script = Command::new("scripts/invoke-login.sh");
    binaries::as_from_a_shell(&mut script);
    let output = script.output().unwrap();
    let (answer, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{answer}\n{log}");
    let answer =
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("no JSON ({e}): {answer}\n{log}"));
    assert_eq!(Answer::from_lambda(&answer).ok(200)["tokenType"], "Bearer");
}

/// What ends with the test, and the processes that it started with it.
fn watch(port: &str) -> Process {
    let mut script = Command::new("scripts/watch.sh");
    binaries::as_from_a_shell(&mut script);
    script.env("INVOKE_PORT", port);
    Spawn::new(script).guarded().group().spawn()
}

/// `make invoke`.
async fn invoke(port: &str, arguments: &[&str], seconds: &str) -> Output {
    let mut script = Command::new("scripts/invoke.sh");
    binaries::as_from_a_shell(&mut script);
    script
        .env("INVOKE_PORT", port)
        .env("INVOKE_SECONDS", seconds);
    script.args(arguments);
    tokio::task::spawn_blocking(move || script.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_event_is_answered_by_make_watch() {
    binaries::path("health");
    let port = e2e::free_port();
    let watch = watch(&port.to_string());
    assert!(watch.listens_on(port).await, "{}", watch.logs());
    let event = ["health", "--data-file", "events/health/health.json"];
    let output = invoke(&port.to_string(), &event, "60").await;
    let (answer, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{answer}\n{log}\n{}", watch.logs());
    let answer =
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("no JSON ({e}): {answer}"));
    assert_eq!(Answer::from_lambda(&answer).ok(200)["status"], "ok");
    // A second one finds the port taken.
    let second = self::watch(&port.to_string());
    second.wait_for_line("INVOKE_PORT=").await;
    assert_eq!(second.wait_exit().await.code(), Some(1));
    watch.signal(Signal::TERM);
    watch.wait_exit().await;
}

#[tokio::test]
async fn make_invoke_says_that_nothing_listens() {
    let port = e2e::free_port().to_string();
    let output = invoke(&port, &["health"], "5").await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("make watch"),
        "{errors}"
    );
}

#[tokio::test]
async fn make_invoke_ends_without_an_answer() {
    // Takes connections and answers nothing, as `cargo lambda watch` while a function does not start.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let output = invoke(&port, &["health", "--data-ascii", "{}"], "1").await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("no answer within 1 s"),
        "{errors}"
    );
}
