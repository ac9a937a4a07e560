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

/// A function's program, built here, in which every version of glibc that is at least 2.10 is this one.
fn with_glibc(minor: u8) -> tempfile::NamedTempFile {
    let mut program = fs::read(binaries::path("health")).unwrap();
    let name = b"GLIBC_2.";
    let mut found = 0;
    for at in 0..program.len() - name.len() - 3 {
        let rest = &mut program[at..];
        let digits = &rest[name.len()..name.len() + 2];
        let is_version = rest.starts_with(name)
            && digits.iter().all(u8::is_ascii_digit)
            && rest[name.len() + 2] == 0;
        if is_version {
            rest[name.len()] = b'0' + minor / 10;
            rest[name.len() + 1] = b'0' + minor % 10;
            found += 1;
        }
    }
    assert!(found > 0, "this machine's programs name no glibc");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), program).unwrap();
    file
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "programs of this machine are not ELF"
)]
fn a_program_for_a_newer_glibc_than_lambda_has_is_refused() {
    assert_eq!(problem("check_glibc", with_glibc(34).path()), None);
    for newer in [35, 40] {
        let why = problem("check_glibc", with_glibc(newer).path()).unwrap();
        assert!(
            why.contains(&format!("needs GLIBC_2.{newer}; Lambda has glibc 2.34")),
            "{why}"
        );
    }
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
    for check in ["check_glibc", "check_static"] {
        let why = problem(check, file.path()).unwrap();
        assert!(why.contains("readelf can't read"), "{check}: {why}");
    }
}
