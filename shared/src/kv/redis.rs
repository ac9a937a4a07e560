//! The store in Redis: one multiplexed connection per instance, short time-outs, one retry after a dead connection.

use std::{
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisResult, Script,
    ScriptInvocation, ServerErrorKind, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{Answers, KvError, Record, Step};
use crate::deadline;

/// What one operation may take where nothing else is said, connecting and retrying included.
const BUDGET: Duration = Duration::from_millis(50);
/// What connecting may take. Requests wait for it no longer than their budget, but the next ones find it further on.
const CONNECT: Duration = Duration::from_secs(1);

/// Set if nothing is there. What is there already may be ours, from a try whose answer was lost. Returns 1 when ours is
/// there.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local value = redis.call('GET', KEYS[1]) \
         if value then return value == ARGV[1] and 1 or 0 end \
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1",
    )
});

/// Compare-and-set with an expiry. Returns 1 when it stored.
static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1",
    )
});

/// Compare-and-delete.
static REMOVE: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"));

/// A Redis server, reached through one connection that all requests of this instance pipeline on.
#[derive(Clone)]
pub struct RedisStore(Arc<Server>);

struct Server {
    client: Option<Client>,
    budget: Duration,
    connection: Mutex<Option<Connection>>,
}

/// The connection of all requests, and whether it has answered since it was made.
#[derive(Clone)]
struct Connection {
    manager: ConnectionManager,
    answered: Arc<AtomicBool>,
}

impl RedisStore {
    /// A store that connects at its first use. The URL was checked when settings were read.
    #[must_use]
    pub fn new(url: &SecretString) -> Self {
        Self::with_budget(url, BUDGET)
    }

    /// The same with another budget for each operation.
    #[must_use]
    pub fn with_budget(url: &SecretString, budget: Duration) -> Self {
        // Without NODELAY a command waits for the acknowledgement of the one before it.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = url.expose_secret().into_connection_info().map(|info| info.set_tcp_settings(tcp));
        Self(Arc::new(Server { client: info.and_then(Client::open).ok(), budget, connection: Mutex::default() }))
    }

    /// Steps and reads in one pipeline. A server that does not know a script yet is told its text in a second one.
    pub(super) async fn ask<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> Result<Answers<N>, KvError> {
        let calls = steps.iter().map(|step| invocation("EVALSHA", step.script().hash(), *step));
        let reads = keys.iter().map(|key| get(key));
        let mut outcomes = self.send(calls.chain(reads).collect()).await?;
        let unknown: Vec<usize> = (0..steps.len()).filter(|at| is_unknown_script(&outcomes[*at])).collect();
        if !unknown.is_empty() {
            let calls = unknown.iter().map(|at| invocation("EVAL", steps[*at].script().source(), steps[*at]));
            let again = self.send(calls.collect()).await?;
            for (at, outcome) in unknown.into_iter().zip(again) {
                outcomes[at] = outcome;
            }
        }
        let read =
            outcomes.split_off(steps.len()).into_iter().map(decoded).collect::<Result<Vec<Option<Bytes>>, _>>()?;
        let values = read.try_into().map_err(|_| miscounted())?;
        Ok(Answers { replies: outcomes.into_iter().map(decoded).collect(), values })
    }

    /// Sends commands in one round trip; each has its own outcome.
    async fn send(&self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<Value>>, KvError> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        let count = commands.len();
        for command in commands {
            pipeline.add_command(command);
        }
        let outcomes: Vec<_> = self.run(pipeline.ignore_errors()).await?;
        if outcomes.len() == count { Ok(outcomes) } else { Err(miscounted()) }
    }

    pub(super) async fn put(&self, record: Record<'_>) -> Result<(), KvError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.pset_ex(record.key, record.value, milliseconds(record.life));
        self.run::<Vec<Value>>(&pipeline).await.map(drop)
    }

    pub(super) async fn add(&self, record: Record<'_>) -> Result<bool, KvError> {
        let mut script = ADD.prepare_invoke();
        script.key(record.key).arg(record.value).arg(milliseconds(record.life));
        self.run_script(&script).await
    }

    pub(super) async fn replace(&self, expected: &[u8], record: Record<'_>) -> Result<bool, KvError> {
        let mut script = REPLACE.prepare_invoke();
        script.key(record.key).arg(expected).arg(record.value).arg(milliseconds(record.life));
        self.run_script(&script).await
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), KvError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.del(key);
        self.run::<Vec<Value>>(&pipeline).await.map(drop)
    }

    pub(super) async fn remove(&self, key: &str, expected: &[u8]) -> Result<(), KvError> {
        let mut script = REMOVE.prepare_invoke();
        script.key(key).arg(expected);
        self.run_script(&script).await.map(drop)
    }

    pub(super) async fn ping(&self) -> Result<(), KvError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("PING");
        self.run::<Vec<Value>>(&pipeline).await.map(drop)
    }

    /// Connects, with more patience than a request has. For init.
    pub(crate) async fn connect(&self) -> Result<(), KvError> {
        let mut connection = self.connection()?;
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("PING");
        let ping = pipeline.query_async::<Vec<Value>>(&mut connection.manager);
        timeout(CONNECT, ping).await.map_err(|_| out_of_time())?.map_err(unavailable)?;
        connection.answered.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sends `pipeline` in one round trip.
    async fn run<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, KvError> {
        self.within_budget(|mut connection| async move { pipeline.query_async(&mut connection).await }).await
    }

    /// Runs a script by its hash, and by its text where the server does not know it.
    async fn run_script(&self, script: &ScriptInvocation<'_>) -> Result<bool, KvError> {
        self.within_budget(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Sends something within the budget, once more if the connection turned out to be dead (an instance that was frozen
    /// wakes up with one) or to lead to a server that has become a replica. So everything sent here may run twice.
    ///
    /// A connection that has answered before and now lets the budget pass may be dead without having been told (its
    /// other end is gone since a freeze), so the next request gets a new one.
    async fn within_budget<T, F: Future<Output = RedisResult<T>>>(
        &self,
        send: impl Fn(ConnectionManager) -> F,
    ) -> Result<T, KvError> {
        let connection = self.connection()?;
        let sending = async {
            let error = match send(connection.manager.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.code() == Some("READONLY") {
                self.abandon(&connection);
            } else if !error.is_connection_dropped() {
                return Err(unavailable(error));
            }
            // A dropped connection's manager has begun to reconnect; the second try waits for it.
            send(self.connection()?.manager).await.map_err(unavailable)
        };
        let budget = deadline::cap(self.0.budget);
        let Ok(answer) = timeout(budget, sending).await else {
            // A request at its end has waited too short a time to tell.
            if budget == self.0.budget && connection.answered.load(Ordering::Relaxed) {
                self.abandon(&connection);
            }
            return Err(out_of_time());
        };
        if answer.is_ok() {
            connection.answered.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// The connection; made lazily, because the manager needs a running Tokio.
    fn connection(&self) -> Result<Connection, KvError> {
        let mut current = self.current();
        if let Some(connection) = &*current {
            return Ok(connection.clone());
        }
        let client = self.0.client.clone().ok_or_else(|| KvError("no usable REDIS_URL".into()))?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT))
            // The budget ends a wait, sooner than this.
            .set_response_timeout(Some(CONNECT.max(self.0.budget)));
        let manager = ConnectionManager::new_lazy_with_config(client, config).map_err(unavailable)?;
        Ok(current.insert(Connection { manager, answered: Arc::default() }).clone())
    }

    /// Lets the next request connect anew, unless another one has done so already.
    fn abandon(&self, connection: &Connection) {
        self.current().take_if(|current| Arc::ptr_eq(&current.answered, &connection.answered));
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get(key: &str) -> Cmd {
    let mut get = redis::cmd("GET");
    get.arg(key);
    get
}

/// `EVALSHA` with a script's hash, or `EVAL` with its text.
fn invocation(command: &str, script: &str, step: &dyn Step) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(step.keys().len()).arg(step.keys()).arg(step.arguments());
    call
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

fn out_of_time() -> KvError {
    KvError("no answer in time".into())
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
