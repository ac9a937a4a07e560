//! `scripts/toolchain.sh`, which runs before cargo.

use std::{os::unix::fs::symlink, process::Output};

use e2e::binaries::workspace;

use super::{Scratch, errors};

/// The script with no other programs than these, which print their version, and what it needs itself.
fn check(programs: &[(&str, &str)]) -> Output {
    let scratch = Scratch::new();
    for (name, version) in programs {
        let text = format!("#!/bin/sh\necho \"{name} {version} (0123abc 2026-01-01)\"\n");
        scratch.program(&format!("bin/{name}"), &text);
    }
    for name in ["bash", "sed", "dirname", "uname"] {
        let paths = std::env::split_paths(&super::path())
            .map(|folder| folder.join(name))
            .collect::<Vec<_>>();
        let found = paths.into_iter().find(|path| path.exists());
        let link = scratch.root.join("bin").join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(found.unwrap(), link).unwrap();
    }
    let path = scratch.root.join("bin");
    scratch.script("toolchain.sh", &[], &[("PATH", path.to_str().unwrap())])
}

/// `rust-version` of `Cargo.toml`.
fn needed() -> String {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    line.unwrap().trim_matches('"').to_owned()
}

#[test]
fn a_toolchain_that_is_new_enough_passes_without_a_word() {
    for version in [
        &*needed(),
        "1.100.0",
        "2.0.0",
        "1.97.0-nightly",
        "1.98.0-beta.2",
    ] {
        let output = check(&[("cargo", version), ("rustc", version), ("cc", "14")]);
        assert!(output.status.success(), "{version}: {}", errors(&output));
        assert_eq!((errors(&output), output.stdout.len()), (String::new(), 0));
    }
}

#[test]
fn an_old_toolchain_is_told_the_version_that_is_needed() {
    for version in ["1.9.0", "1.85.1", "1.94.0", "1.75.0-nightly", "0.99.99"] {
        for rustup in [&[("rustup", "1.28")][..], &[]] {
            let tools = [("cargo", version), ("rustc", version), ("cc", "14")];
            let output = check(&[&tools, rustup].concat());
            let text = errors(&output);
            assert!(!output.status.success(), "{version}");
            for word in [version.split('-').next().unwrap(), &needed(), "rustup"] {
                assert!(text.contains(word), "{version}: no {word} in {text}");
            }
        }
    }
}

#[test]
fn a_missing_program_is_told_with_its_remedy() {
    let good = needed();
    let all = [("cargo", &*good), ("rustc", &*good), ("cc", "14")];
    for (missing, remedy) in [
        ("cargo", "rustup"),
        ("rustc", "rustup"),
        ("cc", "C compiler"),
    ] {
        let others = all.iter().filter(|(name, _)| *name != missing);
        let output = check(&others.copied().collect::<Vec<_>>());
        let text = errors(&output);
        assert!(!output.status.success() && text.contains(remedy), "{text}");
        assert!(missing == "cc" || text.contains(&good), "{text}");
    }
}
