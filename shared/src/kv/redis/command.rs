//! One command to Redis, and what its reply says.

use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value};

use crate::kv::{KvError, Record, Script, Step};

/// The result of a command.
pub(super) type Outcome = Result<Value, CommandError>;

/// Why a command has no reply.
pub(super) enum CommandError {
    /// The server returned an error.
    Refused(RedisError),
    /// The node that owns its key can't be reached.
    Unreachable(KvError),
}

/// A cmd, the key that decides which node it goes to, and what to send instead when that node
/// has not cached the script yet.
pub(super) struct Command<'a> {
    pub(super) key: &'a str,
    pub(super) cmd: Cmd,
    /// Whether it changes something.
    pub(super) is_write: bool,
    pub(super) with_source: Option<Box<dyn Fn() -> Cmd + Send + Sync + 'a>>,
}

impl<'a> Command<'a> {
    pub(super) fn get(key: &'a str) -> Self {
        let mut cmd = redis::cmd("GET");
        cmd.arg(key);
        Self {
            key,
            cmd,
            is_write: false,
            with_source: None,
        }
    }

    pub(super) fn put(record: &Record<'a>) -> Self {
        let mut cmd = redis::cmd("PSETEX");
        cmd.arg(record.key)
            .arg(milliseconds(record.ttl))
            .arg(record.value);
        Self::plain_write(record.key, cmd)
    }

    pub(super) fn delete(key: &'a str) -> Self {
        let mut cmd = redis::cmd("DEL");
        cmd.arg(key);
        Self::plain_write(key, cmd)
    }

    fn plain_write(key: &'a str, cmd: Cmd) -> Self {
        Self {
            key,
            cmd,
            is_write: true,
            with_source: None,
        }
    }

    pub(super) fn step(step: &'a dyn Step) -> Self {
        let key = step.keys().first().map_or("", String::as_str);
        Self::script(key, step.script(), move |call| {
            call.arg(step.keys().len())
                .arg(step.keys())
                .arg(step.arguments());
        })
    }

    /// Calls a script by its hash. `arguments` adds what follows the script.
    pub(super) fn script(
        key: &'a str,
        script: &'a Script,
        arguments: impl Fn(&mut Cmd) + Send + Sync + 'a,
    ) -> Self {
        let call = move |command: &str, script: &str| {
            let mut call = redis::cmd(command);
            arguments(call.arg(script));
            call
        };
        let cmd = call("EVALSHA", script.hash());
        Self {
            key,
            cmd,
            is_write: true,
            with_source: Some(Box::new(move || call("EVAL", script.source()))),
        }
    }
}

/// Commands that are sent together, each with its own outcome.
pub(super) fn pipelined(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline.ignore_errors();
    pipeline
}

pub(super) fn is_unknown_script(outcome: &Outcome) -> bool {
    let no_script = ErrorKind::Server(ServerErrorKind::NoScript);
    matches!(outcome, Err(CommandError::Refused(error)) if error.kind() == no_script)
}

pub(super) fn decoded<T: FromRedisValue>(outcome: Outcome) -> Result<T, KvError> {
    match outcome {
        Ok(value) => redis::from_redis_value(value).map_err(|error| unavailable(error.into())),
        Err(CommandError::Refused(error)) => Err(refused(&error)),
        Err(CommandError::Unreachable(error)) => Err(error),
    }
}

pub(super) fn miscounted() -> KvError {
    KvError::Unavailable("Redis returned a wrong number of replies".into())
}

/// Only the kind and the server's code: a server's message can quote the cmd, and with it a
/// value. The operating system's texts hold neither.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unavailable(error: RedisError) -> KvError {
    KvError::Unavailable(describe(&error))
}

pub(super) fn refused(error: &RedisError) -> KvError {
    KvError::Refused(describe(error))
}

fn describe(error: &RedisError) -> String {
    let code = error.code().unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::Io => std::error::Error::source(error).map_or_else(
            || "the connection failed or was closed".to_owned(),
            |cause| format!("the connection failed: {cause}"),
        ),
        ErrorKind::AuthenticationFailed => "user or password rejected".to_owned(),
        ErrorKind::Server(_) if !code.is_empty() => "the server answered".to_owned(),
        kind => format!("{kind:?}"),
    };
    format!("{text} {code}").trim_end().to_owned()
}

pub(super) fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
