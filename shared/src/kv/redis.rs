//! The store in Redis: one multiplexed connection per instance, short time-outs, one retry after a dead connection.

use std::{
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use redis::{
    Client, IntoConnectionInfo, Pipeline, RedisError, Script, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::{KvError, Record};

/// What one operation may take, connecting and retrying included.
const BUDGET: Duration = Duration::from_millis(50);
/// What connecting may take within it.
const CONNECT: Duration = Duration::from_millis(40);
/// During init the network may still be coming up, and nobody waits yet.
const FIRST_CONNECT: Duration = Duration::from_secs(1);

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
    manager: OnceLock<ConnectionManager>,
}

impl RedisStore {
    /// A store that connects at its first use. The URL was checked when settings were read.
    #[must_use]
    pub fn new(url: &SecretString) -> Self {
        let info = url.expose_secret().into_connection_info();
        Self(Arc::new(Server { client: info.and_then(Client::open).ok(), manager: OnceLock::new() }))
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
        let mut pipeline = Pipeline::with_capacity(1);
        let command = pipeline.cmd("SET").arg(record.key).arg(record.value).arg("NX");
        command.arg("PX").arg(milliseconds(record.life));
        let (answer,): (Option<String>,) = self.run(&pipeline).await?;
        Ok(answer.is_some())
    }

    pub(super) async fn replace(&self, expected: &[u8], record: Record<'_>) -> Result<bool, KvError> {
        let run = async {
            let mut script = REPLACE.prepare_invoke();
            script.key(record.key).arg(expected).arg(record.value).arg(milliseconds(record.life));
            // EVALSHA, and once more after loading the script where the server does not know it.
            script.invoke_async::<bool>(&mut self.connection()?).await.map_err(unavailable)
        };
        within_budget(run).await
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
        let ping = pipeline.query_async::<Vec<Value>>(&mut connection);
        timeout(FIRST_CONNECT, ping).await.map_err(|_| out_of_time())?.map(drop).map_err(unavailable)
    }

    /// Sends `pipeline` in one round trip, once more if the connection turned out to be dead: an instance that was
    /// frozen wakes up with one. All commands here may run twice.
    async fn run<T: redis::FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, KvError> {
        let run = async {
            let mut connection = self.connection()?;
            match pipeline.query_async(&mut connection).await {
                // The manager has begun to reconnect; the second try waits for it.
                Err(error) if error.is_connection_dropped() => pipeline.query_async(&mut connection).await,
                answer => answer,
            }
            .map_err(unavailable)
        };
        within_budget(run).await
    }

    /// The connection; made lazily, because the manager needs a running Tokio.
    fn connection(&self) -> Result<ConnectionManager, KvError> {
        if let Some(manager) = self.0.manager.get() {
            return Ok(manager.clone());
        }
        let client = self.0.client.clone().ok_or_else(|| KvError("no usable REDIS_URL".into()))?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(BUDGET));
        let manager = ConnectionManager::new_lazy_with_config(client, config).map_err(unavailable)?;
        Ok(self.0.manager.get_or_init(|| manager).clone())
    }
}

async fn within_budget<T>(run: impl Future<Output = Result<T, KvError>>) -> Result<T, KvError> {
    timeout(BUDGET, run).await.map_err(|_| out_of_time())?
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
