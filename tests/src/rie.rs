//! A function's binary under AWS's own Runtime Interface Emulator.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    binaries::workspace,
    free_port,
    http::Client,
    logs::Logs,
    process::{Process, Spawn},
    settings::AWS_ENVIRONMENT,
};

/// How often another process may take a port first.
const ATTEMPTS: u32 = 5;

/// An emulator with one function. Dropping it kills both.
#[derive(Debug)]
pub struct Emulator {
    process: Process,
    port: u16,
}

impl Emulator {
    /// Starts the emulator for `binary`, which gets `env` and what the emulator itself sets.
    pub async fn start<K: AsRef<str>, V: AsRef<str>>(binary: &Path, env: &[(K, V)]) -> Self {
        let program = program();
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let mut command = Command::new(&program);
            command
                .args([
                    "--runtime-interface-emulator-address",
                    &format!("127.0.0.1:{port}"),
                ])
                .args([
                    "--runtime-api-address",
                    &format!("127.0.0.1:{}", free_port()),
                ])
                .arg(binary)
                .env_clear()
                .envs(AWS_ENVIRONMENT)
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .envs(
                    env.iter()
                        .map(|(key, value)| (key.as_ref(), value.as_ref())),
                );
            let process = Spawn::new(command).guarded().group().spawn();
            if process.listens_on(port).await {
                return Self { process, port };
            }
            let logs = process.logs();
            assert!(
                logs.contain("address already in use"),
                "the emulator does not start:\n{logs}"
            );
        }
        panic!("the Runtime Interface Emulator found no free ports in {ATTEMPTS} attempts");
    }

    /// Invokes the function. The first invocation starts it.
    pub async fn invoke(&self, event: &Value) -> Value {
        let client = Client::new(&format!("http://127.0.0.1:{}", self.port));
        let request = client.post("/2015-03-31/functions/function/invocations", event);
        let (status, _, body) = request.send_raw().await;
        let text = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{text}\n{}", self.logs());
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {text}\n{}", self.logs()))
    }

    /// What the emulator and the function have logged so far.
    pub fn logs(&self) -> Logs {
        self.process.logs()
    }
}

/// The emulator's binary: `AWS_LAMBDA_RIE`, or the one that `make test` installs.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("AWS_LAMBDA_RIE") {
        return path.into();
    }
    let path = workspace().join(".tools/aws-lambda-rie");
    assert!(
        path.is_file(),
        "AWS's Runtime Interface Emulator is not installed: `make test` installs it before it runs the tests"
    );
    path
}
