//! A function's real binary, as Lambda starts it.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::oneshot;

use super::host::{Answer, INVOCATION_DEADLINE, Reply, RuntimeApi};
use crate::{
    logs::Logs,
    process::{Process, Spawn, program_name},
    settings::AWS_ENVIRONMENT,
    within_patience,
};

/// What Lambda itself puts into a function's environment, besides credentials and region.
const LAMBDA_ENVIRONMENT: [(&str, &str); 9] = [
    ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/under-test"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
    ("_HANDLER", "bootstrap"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("TZ", ":UTC"),
];

/// A running function. Dropping it kills the process.
#[derive(Debug)]
pub struct FunctionUnderTest {
    name: String,
    // Before the host: the process must be gone when the host closes, or it logs a lost connection.
    process: Process,
    host: RuntimeApi,
}

/// What a function that refused to start left behind.
#[derive(Debug)]
pub struct Refusal {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it posted to `/runtime/init/error`, if anything.
    pub init_error: Option<String>,
    /// What it wrote.
    pub logs: Logs,
}

impl FunctionUnderTest {
    /// Starts `binary` with nothing in its environment but what Lambda sets and `env`.
    pub fn spawn<K: AsRef<str>, V: AsRef<str>>(binary: &Path, env: &[(K, V)]) -> Self {
        Self::start(Command::new(binary), binary, env, |spawn| spawn)
    }

    /// Like [`Self::spawn`], with `program` running the binary: one that counts what it does.
    pub fn spawn_under<K: AsRef<str>, V: AsRef<str>>(
        mut program: Command,
        binary: &Path,
        env: &[(K, V)],
    ) -> Self {
        program.arg(binary);
        Self::start(program, binary, env, |spawn| spawn)
    }

    /// Like [`Self::spawn`], with the log going to a file: for measurements.
    pub fn spawn_logging_to<K: AsRef<str>, V: AsRef<str>>(
        binary: &Path,
        env: &[(K, V)],
        file: &Path,
    ) -> Self {
        Self::start(Command::new(binary), binary, env, |spawn| {
            spawn.log_to(file)
        })
    }

    fn start<K: AsRef<str>, V: AsRef<str>>(
        mut command: Command,
        binary: &Path,
        env: &[(K, V)],
        how: impl Fn(Spawn) -> Spawn,
    ) -> Self {
        let host = RuntimeApi::start();
        let name = program_name(binary);
        command
            .env_clear()
            .envs(AWS_ENVIRONMENT)
            .envs(LAMBDA_ENVIRONMENT)
            .env("AWS_LAMBDA_FUNCTION_NAME", &name)
            .env("AWS_LAMBDA_RUNTIME_API", host.address().to_string())
            .envs(
                env.iter()
                    .map(|(key, value)| (key.as_ref(), value.as_ref())),
            );
        let process = how(Spawn::new(command)).spawn();
        Self {
            name,
            process,
            host,
        }
    }

    /// Invokes the function and returns what it answered. Invocations queue, as on an instance.
    /// Fails when the function posts an error, ends, or takes too long.
    pub async fn invoke(&self, event: &Value) -> Value {
        self.invoke_within(event, INVOCATION_DEADLINE).await
    }

    /// The same with this much time until the invocation's deadline.
    pub async fn invoke_within(&self, event: &Value, time: Duration) -> Value {
        let answer = self
            .answer(
                self.host
                    .enqueue_within(&serde_json::to_vec(event).unwrap(), time),
            )
            .await;
        match &answer.reply {
            Reply::Response(body) => serde_json::from_slice(body).unwrap_or_else(|e| {
                panic!(
                    "{} answered no JSON ({e}): {}",
                    self.name,
                    String::from_utf8_lossy(body)
                );
            }),
            Reply::Error(body) => {
                panic!(
                    "{} failed: {}\n{}",
                    self.name,
                    String::from_utf8_lossy(body),
                    self.logs()
                )
            }
        }
    }

    /// Like [`Self::invoke`], but takes bytes that need not be JSON and returns the raw reply with
    /// its time stamps.
    pub async fn measure(&self, event: &[u8]) -> Answer {
        self.answer(self.host.enqueue(event)).await
    }

    async fn answer(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        let what = format!("the answer of {}", self.name);
        within_patience(&what, async {
            tokio::select! {
                biased;
                answer = answer => answer.expect("the host lives as long as the function"),
                () = self.process.ended() => panic!("{} ended instead of answering:\n{}", self.name, self.logs()),
            }
        })
        .await
    }

    /// How long it took from before the start of the process to its first request for an event.
    pub async fn time_to_first_next(&self) -> Duration {
        let mut milestones = self.host.milestones();
        let wait = async {
            tokio::select! {
                biased;
                milestones = milestones.wait_for(|m| m.first_next.is_some()) => milestones.unwrap().first_next.unwrap(),
                () = self.process.ended() => panic!("{} ended instead of starting:\n{}", self.name, self.logs()),
            }
        };
        within_patience(&format!("the start of {}", self.name), wait).await - self.started()
    }

    /// The moment just before the process was started.
    pub fn started(&self) -> Instant {
        self.process.started()
    }

    /// Awaits the end of a function that is expected to refuse its configuration.
    pub async fn wait_exit(&self) -> Refusal {
        let code = self.process.wait_exit().await.code();
        let init_error = self.host.milestones().borrow().init_error.clone();
        Refusal {
            code,
            init_error,
            logs: self.logs(),
        }
    }

    /// What it has logged so far.
    pub fn logs(&self) -> Logs {
        self.process.logs()
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.process.rss_bytes()
    }

    /// The process, to freeze, thaw or signal it.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
