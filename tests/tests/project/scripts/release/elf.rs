//! What the release looks for in programs, on programs that were built here.

use std::{fs, path::Path, process::Command};

use e2e::binaries::{self, workspace};

/// Has `scripts/release.py` check a file; what is wrong with it.
fn problem(check: &str, file: &Path) -> Option<String> {
    let code = format!("import release, sys; release.{check}(sys.argv[1])");
    let output = Command::new("python3")
        .args(["-c", &code])
        .arg(file)
        .env("PYTHONPATH", workspace().join("scripts"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    (!output.status.success()).then_some(text)
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "programs of this machine are not ELF"
)]
fn a_program_that_needs_libraries_is_not_static() {
    let why = problem("check_static", binaries::path("health")).unwrap();
    assert!(why.contains("is not static"), "{why}");
}

#[test]
fn what_is_no_program_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "#!/bin/sh\n").unwrap();
    let why = problem("check_static", file.path()).unwrap();
    assert!(why.contains("readelf can't read"), "{why}");
}
