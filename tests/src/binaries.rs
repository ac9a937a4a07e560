//! The workspace's binaries, built once per process so that a test never runs a stale one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace")
}

/// The binary called `name`, built with the profile of the running test.
pub fn path(name: &str) -> &'static Path {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(&["--workspace", "--bins", "--profile", profile()]));
    built
        .get(name)
        .unwrap_or_else(|| panic!("the workspace has no binary called {name}"))
}

/// The binary called `name` in the folder of the running program, for callers that have built it
/// already.
pub fn beside_this_program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("this process has an executable");
    let path = exe.with_file_name(name);
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// A function's program, for callers that have built it already: of a release build as it is deployed
/// (`build_functions_to_run` in scripts/lib.sh), else in the folder of the running program.
pub fn function(name: &str) -> PathBuf {
    if profile() == "release" {
        deployed(name)
    } else {
        beside_this_program(name)
    }
}

/// A function's program as it is deployed, for callers that have built it already. On machines that can't
/// run it an ordinary release build.
pub fn deployed(name: &str) -> PathBuf {
    let runs_on_lambda = cfg!(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ));
    let path = if runs_on_lambda {
        workspace()
            .join("target/lambda")
            .join(name)
            .join("bootstrap")
    } else {
        let target = target_dir().unwrap_or_else(|| workspace().join("target"));
        target.join("release").join(name)
    };
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// Runs `cargo build` with `args` and returns each binary's path by its name. Cargo reports the
/// paths, so any target directory works.
pub fn build(args: &[&str]) -> HashMap<String, PathBuf> {
    let output = cargo()
        .arg("build")
        .args(args)
        .args(["--message-format", "json-render-diagnostics"])
        .args(target_dir().map(|dir| format!("--target-dir={}", dir.display())))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo build failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("cargo writes UTF-8")
        .lines()
        .filter_map(executable)
        .collect()
}

/// `cargo` in the workspace.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    as_from_a_shell(&mut command);
    command
}

/// Runs a command in the workspace as a person would from a shell: without the variables that the
/// cargo above this process sets for it, which build scripts would take for a change.
pub fn as_from_a_shell(command: &mut Command) {
    command.current_dir(workspace());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "AWS_LC_SYS_"];
        if ours.iter().any(|prefix| text.starts_with(prefix))
            || text == "LD_LIBRARY_PATH"
            || text == "DYLD_FALLBACK_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let executable = message.get("executable")?.as_str()?;
    Some((
        message["target"]["name"].as_str()?.to_owned(),
        executable.into(),
    ))
}

/// The profile whose folder the running executable is in.
fn profile() -> &'static str {
    static PROFILE: OnceLock<String> = OnceLock::new();
    PROFILE.get_or_init(|| {
        let exe = std::env::current_exe().expect("this process has an executable");
        let folder = exe.parent().expect("in a folder");
        let folder = if folder.ends_with("deps") {
            folder.parent().expect("of a profile")
        } else {
            folder
        };
        match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev".to_owned(),
            Some(name) => name.to_owned(),
        }
    })
}

/// The target directory that the running executable is in: the one folder above it that cargo has
/// marked. `None` leaves the choice to cargo's configuration.
fn target_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_binaries_name_an_executable() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"login"},"executable":"/t/debug/login"}"#;
        assert_eq!(
            executable(line),
            Some(("login".to_owned(), "/t/debug/login".into()))
        );
        assert_eq!(
            executable(r#"{"target":{"name":"shared"},"executable":null}"#),
            None
        );
        assert_eq!(executable("noise"), None);
    }

    #[test]
    fn a_test_runs_in_a_known_profile() {
        assert!(["dev", "release"].contains(&profile()));
    }
}
