//! Requests that schemathesis (<https://schemathesis.readthedocs.io>) makes up from the OpenAPI document,
//! right and wrong ones, against the `make run` binary: none is answered with a 5xx, with a status that
//! the document does not have, or outside of its schema.

use std::{path::PathBuf, process::Command, time::Duration};

use e2e::{PATIENCE, binaries, process::Spawn};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::{ANY_PORT, Running};

/// Requests of each operation and phase at most.
const EXAMPLES: &str = "12";
/// What can end the caller's session, after which nothing else is served. Ids are learned from answers.
const LAST: &str = "^(logout|deleteAccount|endSession|endUserSessions)$";
/// The mini-program of the document's examples.
const APP: (&str, &str) = ("WECHAT_APPIDS", "wx0123456789abcdef");

/// Limits are not what this is about: they would hide everything else.
const NO_LIMITS: [(&str, &str); 10] = [
    ("RATE_LIMIT_USER", "off"),
    ("RATE_LIMIT_GUEST", "off"),
    ("RATE_LIMIT_LOGIN", "off"),
    ("RATE_LIMIT_LOGIN_FAILURES", "off"),
    ("RATE_LIMIT_REFRESH", "off"),
    ("RATE_LIMIT_SEALED", "off"),
    ("RATE_LIMIT_WECHAT", "off"),
    ("RATE_LIMIT_EXPORT", "off"),
    ("RATE_LIMIT_AVATAR", "off"),
    ("RATE_LIMIT_CODES", "off"),
];

fn program() -> PathBuf {
    let program = binaries::workspace().join(".tools/venv/bin/schemathesis");
    assert!(
        program.is_file(),
        "{} is missing: `make test` installs it before it runs the tests",
        program.display()
    );
    program
}

/// Tests the operations that the filter leaves, as the bearer of a token, for so many seconds at most.
async fn assert_passes(
    backend: &Running,
    folder: &TempDir,
    who: &str,
    filter: [&str; 2],
    seconds: u64,
) {
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ];
    let token = log_in(backend, who).await["token"].clone();
    let mut command = Command::new(program());
    command
        .current_dir(folder.path())
        .args([
            "run",
            &format!("{}/openapi.json", backend.api.url),
            "--no-color",
        ])
        .args(["--checks", &checks.join(",")])
        .args(["--phases", "examples,coverage,fuzzing"])
        .arg("--generation-deterministic")
        .args(["--max-examples", EXAMPLES])
        .args(["--max-time", &seconds.to_string()])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", token.as_str().unwrap()),
        ])
        .args(filter)
        .env("NO_PROXY", "*");
    let process = Spawn::new(command).group().spawn();
    let limit = Duration::from_secs(seconds) + PATIENCE;
    let status = process.wait_exit_within(limit).await;
    let logs = process.logs();
    assert!(status.success(), "as {who}: {logs}");
    assert!(logs.contain(" passed"), "as {who}: {logs}");
}

/// How many requests were answered so.
fn answers(backend: &Running, status: u16) -> usize {
    let answered = format!("\"status\":{status}");
    let logs = backend.process.logs();
    logs.lines()
        .iter()
        .filter(|line| line.contains(&answered))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_otherwise_than_documented() {
    let folder = TempDir::new().unwrap();
    let first = Running::start(folder.path(), &[ANY_PORT, APP]).await;
    let administrator = log_in(&first, "alice").await["user"]["id"].clone();
    first.end(Signal::TERM).await;
    let mut settings = NO_LIMITS.to_vec();
    settings.extend([ANY_PORT, APP, ("ADMINS", administrator.as_str().unwrap())]);
    settings.extend([("CONSENTS", "privacy:3"), ("CONTENT_CHECK", "on")]);
    let backend = Running::start(folder.path(), &settings).await;
    let others = ["--exclude-operation-id-regex", LAST];
    assert_passes(&backend, &folder, "alice", others, 25).await;
    // It did not stay outside.
    let (served, refused) = (answers(&backend, 200), answers(&backend, 401));
    assert!(
        served > 100 && served > refused,
        "{served} served, {refused} refused"
    );
    assert_passes(&backend, &folder, "bob", others, 10).await;
    let last = ["--include-operation-id-regex", LAST];
    assert_passes(&backend, &folder, "alice", last, 10).await;
}

/// The `data` of a login.
async fn log_in(backend: &Running, person: &str) -> Value {
    let code = backend.code(person).await;
    backend.api.login(&code).await.ok(200).clone()
}
