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
    Client, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError, RedisResult, Script, ScriptInvocation, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{KvError, Record};

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

    pub(super) async fn get<const N: usize>(&self, keys: [&str; N]) -> Result<[Option<Bytes>; N], KvError> {
        let mut pipeline = Pipeline::with_capacity(N);
        for key in keys {
            pipeline.get(key);
        }
        let values: Vec<Option<Bytes>> = self.run(&pipeline).await?;
        values.try_into().map_err(|_| KvError("Redis sent another number of answers than commands".into()))
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
        let Ok(answer) = timeout(self.0.budget, sending).await else {
            if connection.answered.load(Ordering::Relaxed) {
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
