//! AWS in one process: moto's server, whose `CloudFormation` creates stacks from the template.

use std::{
    env,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    binaries::workspace,
    free_port,
    process::{Process, Spawn},
};

/// How often another process may take the port first.
const ATTEMPTS: u32 = 5;

/// An account without anything in it. Dropping it kills it.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    port: u16,
}

impl Moto {
    /// Starts an empty account.
    pub async fn start() -> Self {
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let mut command = python("tests/moto/server.py");
            command.arg(port.to_string());
            let process = Spawn::new(command).guarded().spawn();
            if process.listens_on(port).await {
                return Self { process, port };
            }
            let logs = process.logs();
            assert!(logs.contain("in use"), "moto ended:\n{logs}");
        }
        panic!("no free port in {ATTEMPTS} attempts");
    }

    /// The value of `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Creates or reads stacks, as `tests/moto/stack.py` says.
    pub async fn stacks(&self, cases: &Value) -> Value {
        let mut command = python("tests/moto/stack.py");
        command.arg(self.url()).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let cases = cases.to_string();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(cases.as_bytes()).unwrap();
            drop(input);
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{errors}\n--- moto\n{}",
            self.process.logs()
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a script as a person would who works on this account, in a region. Fails with what it printed.
    pub async fn shell(&self, script: &str, region: &str) -> String {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(workspace())
            .env_clear()
            .env("PATH", path())
            .env("HOME", "/nonexistent")
            .env("AWS_PAGER", "")
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = output.await.unwrap();
        let (text, errors) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{script}\n{errors}\n{text}\n--- moto\n{}",
            self.process.logs()
        );
        text
    }
}

/// The tools of `scripts/tools/template.txt` first.
fn path() -> std::ffi::OsString {
    let tools = workspace().join(".tools/venv/bin");
    let machine = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools).chain(env::split_paths(&machine));
    env::join_paths(folders.collect::<Vec<PathBuf>>()).unwrap()
}

fn python(script: &str) -> Command {
    let program = workspace().join(".tools/venv/bin/python");
    assert!(program.is_file(), "run scripts/tools/install.sh template");
    let mut command = Command::new(program);
    command.arg(script).current_dir(workspace());
    // Not those of the machine.
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    command
}
