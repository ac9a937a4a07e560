//! One set of features for `cargo build`, `cargo run` and `cargo test`: a dependency whose features
//! differ is built twice, with everything above it, and the binaries are linked anew each time.

use std::{collections::BTreeSet, process::Command};

use e2e::binaries::as_from_a_shell;

/// Every package that the workspace depends on over these kinds of edges, with its features.
fn resolved(edges: &str) -> BTreeSet<String> {
    let mut command = Command::new("cargo");
    as_from_a_shell(&mut command);
    let output = command
        .args(["tree", "--workspace", "--offline", "--prefix", "none"])
        .args(["--edges", edges, "--format", "{p} {f}"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned())
        .collect()
}

#[test]
fn tests_and_binaries_are_built_with_the_same_features() {
    let binaries = resolved("normal,build");
    let with_tests = resolved("normal,build,dev");
    assert!(binaries.len() > 100, "cargo tree shows only {binaries:?}");
    let differing: Vec<_> = binaries.difference(&with_tests).collect();
    assert!(
        differing.is_empty(),
        "a dev-dependency changes the features of {differing:#?}: see tests/Cargo.toml"
    );
}
