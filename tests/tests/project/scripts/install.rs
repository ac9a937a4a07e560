//! `scripts/tools/install.sh`.

use std::{fs, os::unix::fs::symlink, process::Command};

use super::{Scratch, errors};

/// The first lines of a program of a virtual environment, as pip writes them: a path with blanks
/// can't be in the first one.
fn pip(python: &str) -> String {
    if python.contains(' ') {
        format!("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n")
    } else {
        format!("#!{python}\n")
    }
}

fn installed(scratch: &Scratch, venv_of: &str) {
    let tools = scratch.root.join(".tools");
    fs::create_dir_all(tools.join("venv/bin")).unwrap();
    let python = Command::new("sh")
        .args(["-c", "command -v python3"])
        .output()
        .unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    symlink(python.trim(), tools.join("venv/bin/python")).unwrap();
    scratch.program(
        ".tools/venv/bin/pip",
        &pip(&format!("{venv_of}/.tools/venv/bin/python")),
    );
    let here = scratch.root.join("scripts/tools");
    let sums = Command::new("cksum")
        .arg(here.join("check.txt"))
        .arg(here.join("constraints.txt"))
        .output();
    fs::write(tools.join("check.stamp"), sums.unwrap().stdout).unwrap();
}

#[test]
fn tools_in_a_path_with_blanks_are_installed_once() {
    let scratch = Scratch::new();
    installed(&scratch, scratch.root.to_str().unwrap());
    let output = scratch.script("tools/install.sh", &["check"], &[]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(errors(&output), "");
}

#[test]
fn tools_that_were_moved_are_installed_again() {
    let scratch = Scratch::new();
    installed(&scratch, "/another place");
    // Without a network and a Python to install with.
    scratch.program("bin/python3", "#!/bin/sh\nexit 1\n");
    let path = format!("{}:{}", scratch.root.join("bin").display(), super::path());
    let output = scratch.script("tools/install.sh", &["check"], &[("PATH", &path)]);
    assert!(!output.status.success());
    assert!(
        !scratch.root.join(".tools/check.stamp").exists(),
        "{}",
        errors(&output)
    );
}
