//! One command to Redis, and what its reply says.

use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value};

use crate::kv::{KvError, Script, Step};

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
    pub(super) with_source: Option<Box<dyn Fn() -> Cmd + Send + Sync + 'a>>,
}

impl<'a> Command<'a> {
    pub(super) fn plain(key: &'a str, cmd: Cmd) -> Self {
        Self {
            key,
            cmd,
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
        Err(CommandError::Refused(error)) => Err(unavailable(error)),
        Err(CommandError::Unreachable(error)) => Err(error),
    }
}

pub(super) fn miscounted() -> KvError {
    KvError("Redis returned a wrong number of replies".into())
}

/// Only the kind and the server's code: a server's message can quote the cmd, and with it a
/// value.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn unavailable(error: RedisError) -> KvError {
    let code = error.code().unwrap_or_default();
    KvError(format!("{:?} {code}", error.kind()))
}
