//! The server's binary, as its operators run it.

mod credentials;
#[cfg(target_os = "linux")]
mod image;
mod messages;
mod platforms;
mod start;
mod stop;

use std::{process::Command, time::Duration};

use e2e::{
    binaries,
    process::{Process, Spawn},
    settings::{AWS_ENVIRONMENT, Settings},
    test_app::{Api, Tokens},
    within_patience,
};
use serde_json::Value;
use tokio::time::sleep;

use crate::harness::LambdaHarness;

/// Allowed in tests alone: WeChat is simulated.
const SIMULATOR: (&str, &str) = ("ALLOW_SIMULATOR", "on");

/// The server with nothing in its environment but these variables.
fn spawn(arguments: &[&str], variables: &[(String, String)]) -> Process {
    let mut command = Command::new(binaries::path("server"));
    let variables = variables.iter().map(|(name, value)| (name, value));
    command.args(arguments).env_clear().envs(variables);
    Spawn::new(command).guarded().spawn()
}

/// With credentials and region, as most environments have them.
fn with_aws(settings: &Settings) -> Vec<(String, String)> {
    let aws = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let port = ("PORT".to_owned(), "0".to_owned());
    let given = settings.variables().iter().cloned();
    aws.into_iter().chain([port]).chain(given).collect()
}

/// A server that serves.
struct Running {
    process: Process,
    api: Api,
    metrics: Option<String>,
}

impl Running {
    async fn start(variables: &[(String, String)]) -> Self {
        Self::of(spawn(&[], variables)).await
    }

    /// Once it serves.
    async fn of(process: Process) -> Self {
        let line = process.wait_for_line("\"message\":\"serving\"").await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let url = |name: &str| Some(format!("http://{}", line[name].as_str()?));
        Self {
            api: Api::new(&url("address").unwrap()),
            metrics: url("metrics"),
            process,
        }
    }

    /// Behind everything that the harness has.
    async fn with(harness: &LambdaHarness, more: &[(&str, &str)]) -> Self {
        let settings = more.iter().chain([&SIMULATOR]);
        let settings = settings.fold(harness.settings.clone(), |settings, (name, value)| {
            settings.with(name, value)
        });
        Self::start(&with_aws(&settings)).await
    }

    /// Status and body of `/ready`.
    async fn ready(&self) -> (u16, Value) {
        let (status, _, body) = self.api.request("GET", "/ready").send_raw().await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn log_in(&self, harness: &LambdaHarness, person: &str) -> Tokens {
        Tokens::of(&self.api.login(&harness.code(person)).await)
    }
}

/// What is found is repeated for a second.
async fn until(server: &Running, status: u16, word: &str) {
    within_patience(word, async {
        loop {
            let (found, body) = server.ready().await;
            if (found, body["status"].as_str()) == (status, Some(word)) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}
