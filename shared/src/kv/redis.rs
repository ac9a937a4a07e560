//! The store in Redis: commands of a request go out together, within the request's budget.

mod budget;
mod condition;
mod gate;
mod node;

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value, io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use self::{
    budget::Question,
    node::{CONNECT, Node},
};
use super::{Answers, KvError, Record, Script, Step};
use crate::clock::Clock;

/// What a request may wait for Redis where nothing else is said.
const BUDGET: Duration = Duration::from_millis(50);

/// Set if nothing is there. What is there already may be ours, from a try whose answer was lost. Returns 1 when ours is
/// there.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::timeless(
        "local value = redis.call('GET', KEYS[1]) \
         if value then return value == ARGV[1] and 1 or 0 end \
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1"
            .to_owned(),
    )
});

/// Compare-and-set with an expiry. Returns 1 when it stored.
static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::timeless(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1"
            .to_owned(),
    )
});

/// Compare-and-delete.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::timeless("return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0".to_owned())
});

/// Redis, behind a gate that spares requests a server that does not answer. Cheap to clone.
#[derive(Clone)]
pub struct RedisStore {
    node: Option<Node>,
    budget: Duration,
}

/// A command, and what to send instead when the server does not know its script yet.
struct Call<'a> {
    command: Cmd,
    with_text: Option<Box<dyn Fn() -> Cmd + Send + Sync + 'a>>,
}

impl RedisStore {
    /// A store that connects at its first use. The URL was checked when settings were read.
    #[must_use]
    pub fn new(url: &SecretString) -> Self {
        Self::with_budget(url, BUDGET)
    }

    /// The same with another budget for each request.
    #[must_use]
    pub fn with_budget(url: &SecretString, budget: Duration) -> Self {
        // Without NODELAY a command waits for the acknowledgement of the one before it.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.expose_secret().into_connection_info().map(|info| info.set_tcp_settings(tcp));
        let client = info.and_then(Client::open).ok();
        Self { node: client.map(|client| Node::new(client, Clock::System, budget, true)), budget }
    }

    /// Steps and reads in one round trip. A server that does not know a script yet is told its text in a second one.
    pub(super) async fn ask<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> Result<Answers<N>, KvError> {
        let calls = steps.iter().map(|step| {
            let step = *step;
            Call::script(step.script(), move |call| {
                call.arg(step.keys().len()).arg(step.keys()).arg(step.arguments());
            })
        });
        let reads = keys.iter().map(|key| {
            let mut get = redis::cmd("GET");
            get.arg(*key);
            Call::from(get)
        });
        let mut outcomes = self.send(calls.chain(reads).collect()).await?;
        let read =
            outcomes.split_off(steps.len()).into_iter().map(decoded).collect::<Result<Vec<Option<Bytes>>, _>>()?;
        let values = read.try_into().map_err(|_| miscounted())?;
        Ok(Answers { replies: outcomes.into_iter().map(decoded).collect(), values })
    }

    pub(super) async fn put(&self, record: Record<'_>) -> Result<(), KvError> {
        let mut set = redis::cmd("PSETEX");
        set.arg(record.key).arg(milliseconds(record.life)).arg(record.value);
        self.one::<Value>(set.into()).await.map(drop)
    }

    pub(super) async fn add(&self, record: Record<'_>) -> Result<bool, KvError> {
        let Record { key, value, life } = record;
        let add = Call::script(&ADD, move |call| {
            call.arg(1).arg(key).arg(value).arg(milliseconds(life));
        });
        self.one(add).await
    }

    pub(super) async fn replace(&self, expected: &[u8], record: Record<'_>) -> Result<bool, KvError> {
        let Record { key, value, life } = record;
        let replace = Call::script(&REPLACE, move |call| {
            call.arg(1).arg(key).arg(expected).arg(value).arg(milliseconds(life));
        });
        self.one(replace).await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), KvError> {
        let mut delete = redis::cmd("DEL");
        delete.arg(key);
        self.one::<Value>(delete.into()).await.map(drop)
    }

    pub(super) async fn remove(&self, key: &str, expected: &[u8]) -> Result<(), KvError> {
        let remove = Call::script(&REMOVE, move |call| {
            call.arg(1).arg(key).arg(expected);
        });
        self.one::<Value>(remove).await.map(drop)
    }

    /// Whether the gate is shut makes no difference: who asks wants to know.
    pub(super) async fn ping(&self) -> Result<(), KvError> {
        self.node()?.reach(Question::start(self.budget)?.deadline()).await?;
        self.one::<Value>(redis::cmd("PING").into()).await.map(drop)
    }

    /// Connects, with more patience than a request has. For init.
    pub(crate) async fn connect(&self) -> Result<(), KvError> {
        self.node()?.reach(Instant::now() + CONNECT).await
    }

    async fn one<T: FromRedisValue>(&self, call: Call<'_>) -> Result<T, KvError> {
        let outcomes = self.send(vec![call]).await?;
        outcomes.into_iter().next().ok_or_else(miscounted).and_then(decoded)
    }

    /// Sends commands in one round trip; each has its own outcome.
    async fn send(&self, calls: Vec<Call<'_>>) -> Result<Vec<RedisResult<Value>>, KvError> {
        let question = Question::start(self.budget)?;
        let commands = calls.iter().map(|call| call.command.clone());
        let mut outcomes = self.pipelined(commands, &question).await?;
        let unknown = |at: &usize| is_unknown_script(&outcomes[*at]);
        let (places, again): (Vec<_>, Vec<_>) =
            (0..calls.len()).filter(unknown).filter_map(|at| Some((at, calls[at].with_text.as_ref()?()))).unzip();
        if !again.is_empty() {
            let answers = self.pipelined(again, &question).await?;
            for (at, outcome) in places.into_iter().zip(answers) {
                outcomes[at] = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn pipelined(
        &self,
        commands: impl IntoIterator<Item = Cmd>,
        question: &Question,
    ) -> Result<Vec<RedisResult<Value>>, KvError> {
        let mut pipeline = Pipeline::new();
        for command in commands {
            pipeline.add_command(command);
        }
        let count = pipeline.len();
        let outcomes = self.node()?.ask(pipeline.ignore_errors(), question.deadline()).await?;
        if outcomes.len() == count { Ok(outcomes) } else { Err(miscounted()) }
    }

    fn node(&self) -> Result<&Node, KvError> {
        self.node.as_ref().ok_or_else(|| KvError("no usable REDIS_URL".into()))
    }
}

impl<'a> Call<'a> {
    /// A call of a script by its hash. `arguments` adds what comes after the script.
    fn script(script: &'a Script, arguments: impl Fn(&mut Cmd) + Send + Sync + 'a) -> Self {
        let call = move |command: &str, script: &str| {
            let mut call = redis::cmd(command);
            arguments(call.arg(script));
            call
        };
        Self {
            command: call("EVALSHA", script.hash()),
            with_text: Some(Box::new(move || call("EVAL", script.source()))),
        }
    }
}

impl From<Cmd> for Call<'_> {
    fn from(command: Cmd) -> Self {
        Self { command, with_text: None }
    }
}

fn is_unknown_script(outcome: &RedisResult<Value>) -> bool {
    matches!(outcome, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

fn decoded<T: FromRedisValue>(outcome: RedisResult<Value>) -> Result<T, KvError> {
    outcome.and_then(|value| redis::from_redis_value(value).map_err(RedisError::from)).map_err(unavailable)
}

fn miscounted() -> KvError {
    KvError("Redis sent another number of answers than commands".into())
}

/// Only the kind and the server's code: a server's text can quote the command, and with it a value.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: RedisError) -> KvError {
    let code = error.code().unwrap_or_default();
    KvError(format!("{:?} {code}", error.kind()))
}

fn milliseconds(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}
