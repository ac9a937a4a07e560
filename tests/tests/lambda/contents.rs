//! What the deployed binaries contain.

use std::process::Command;

use e2e::binaries;

use crate::harness::functions;

/// Strings that occur only in the simulator and the embedded database.
const LOCAL_ONLY: [&str; 3] = ["/_control", "simulated-app-secret", "Dynoxide/"];

/// `grep`, because a debug build takes seconds to search the hundred megabytes of another.
fn contains(binary: &str, text: &str) -> bool {
    let status = Command::new("grep")
        .args(["-aqF", "--", text])
        .arg(binaries::path(binary))
        .status()
        .unwrap();
    assert!(
        status.code().is_some_and(|code| code < 2),
        "grep in {binary}: {status}"
    );
    status.success()
}

/// A string that occurs only in the code that opens sealed bodies.
const SEALED: &str = "sealed body: made for another method or path";

#[test]
fn a_function_without_bodies_does_not_link_decryption() {
    assert!(contains("login", SEALED), "this test searches for nothing");
    assert!(!contains("health", SEALED));
}

#[test]
fn deployed_binaries_contain_no_local_only_code() {
    for text in LOCAL_ONLY {
        assert!(
            contains("local", text),
            "{text} is not in the gateway: this test searches for nothing"
        );
        for function in functions() {
            assert!(!contains(&function, text), "{text} is in {function}");
        }
    }
}
