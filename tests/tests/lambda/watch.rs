//! `make invoke-login`: a function under `cargo lambda watch`, called by `cargo lambda invoke`.

use std::process::Command;

use e2e::{binaries, http::Answer};

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
