//! What is in the binaries, and what is not.

use std::process::Command;

use e2e::binaries;

use crate::harness::FUNCTIONS;

/// What only the simulator's and the embedded database's code says.
const LOCAL_ONLY: [&str; 3] = ["/_control", "simulated-app-secret", "Dynoxide/"];

/// `grep`, because a debug build takes seconds to search the hundred megabytes of another.
fn holds(binary: &str, text: &str) -> bool {
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

/// What only the code that opens sealed bodies says.
const SEALED: &str = "sealed body: made for another method or path";

#[test]
fn a_function_without_bodies_does_not_link_what_opens_them() {
    assert!(holds("login", SEALED), "this test searches for nothing");
    assert!(!holds("health", SEALED));
}

#[test]
fn what_is_deployed_holds_nothing_that_is_only_for_local_use() {
    for text in LOCAL_ONLY {
        assert!(
            holds("local", text),
            "{text} is not in the gateway: this test searches for nothing"
        );
        for function in FUNCTIONS {
            assert!(!holds(function, text), "{text} is in {function}");
        }
    }
}
