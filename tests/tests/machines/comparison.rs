//! Runs both implementations side by side, on a clock that the test sets.

use std::{collections::BTreeMap, iter::zip};

use e2e::{PATIENCE, redis_server::RedisServer};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use redis::{AsyncConnectionConfig, Client, Pipeline, aio::MultiplexedConnection};
use shared::kv::{Micros, Step, Write};
use tokio::runtime::Runtime;

/// Wraps the script under test: the time comes from the last argument, writes are returned, and
/// nothing expires by the server's own clock. The driver removes what has expired by the test's
/// clock.
const HEAD: &str = "
local now = tonumber(table.remove(ARGV))
local server, writes = redis, {}
local redis = { call = function(command, key, value, unit, life)
  if command == 'GET' then return server.call('GET', key) end
  writes[#writes + 1] = { command, key, value, unit, life }
  return server.call(command, key, value, unit, string.format('%.0f', life + 3600000))
end }
local function machine()
";
const TAIL: &str = "
end
local reply, values = machine(), {}
for at = 1, #KEYS do values[at] = server.call('GET', KEYS[at]) end
return { reply, writes, values }
";

/// The script's reply, its writes, and the values stored afterwards.
type LuaOutcome = (Vec<i64>, Vec<Vec<Vec<u8>>>, Vec<Option<Vec<u8>>>);

/// A server that knows the script.
pub struct Lua {
    runtime: Runtime,
    connection: MultiplexedConnection,
    hash: String,
    _server: RedisServer,
}

impl Lua {
    pub fn load(body: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let (server, connection, hash) = runtime.block_on(async {
            let server = RedisServer::start().await;
            // A whole history is one pipeline.
            let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
            let client = Client::open(server.url()).unwrap();
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&patient)
                .await
                .unwrap();
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(format!("{HEAD}{body}{TAIL}"));
            let hash = load
                .query_async(&mut connection)
                .await
                .expect("the script compiles");
            (server, connection, hash)
        });
        Self {
            runtime,
            connection,
            hash,
            _server: server,
        }
    }

    /// Runs the test for many random histories.
    pub fn compare<S: proptest::strategy::Strategy>(
        &self,
        histories: &S,
        play: impl Fn(&mut Comparison, S::Value),
    ) {
        let mut runner = TestRunner::new(Config {
            cases: 400,
            ..Config::default()
        });
        let outcome = runner.run(histories, |history| {
            self.compare_one(|comparison| play(comparison, history))
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs it for one history.
    pub fn compare_one(&self, play: impl FnOnce(&mut Comparison)) -> Result<(), TestCaseError> {
        let mut comparison = Comparison::new(&self.hash);
        play(&mut comparison);
        self.runtime
            .block_on(comparison.check(self.connection.clone()))
    }
}

/// One history. The Rust implementation runs first; the commands for the Lua implementation are
/// recorded.
pub struct Comparison {
    pub now: Micros,
    hash: String,
    stored: BTreeMap<String, (Vec<u8>, Micros)>,
    commands: Pipeline,
    expected: Vec<(String, LuaOutcome)>,
}

impl Comparison {
    fn new(hash: &str) -> Self {
        let mut commands = Pipeline::new();
        commands.cmd("FLUSHDB").ignore();
        Self {
            now: 1_800_000_000_000_000,
            hash: hash.to_owned(),
            stored: BTreeMap::new(),
            commands,
            expected: vec![],
        }
    }

    /// Moves the clock forwards or backwards.
    pub fn pass(&mut self, time: Micros) {
        self.now += time;
        for key in self
            .stored
            .extract_if(.., |_, (_, gone_at)| *gone_at <= self.now)
            .map(|(key, _)| key)
        {
            self.commands.del(key).ignore();
        }
    }

    /// Puts a foreign value into the store.
    pub fn put(&mut self, key: &str, value: Vec<u8>) {
        self.commands.set(key, &value).ignore();
        self.stored.insert(key.to_owned(), (value, Micros::MAX));
    }

    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.stored.get(key).map(|(value, _)| &**value)
    }

    /// Runs a step in Rust and returns its reply.
    pub fn step(&mut self, step: &dyn Step) -> Vec<i64> {
        let keys = step.keys();
        let values: Vec<_> = keys
            .iter()
            .map(|key| self.value(key).map(|value| value.to_vec().into()))
            .collect();
        let applied = step.apply(self.now, &values);
        let mut writes = vec![];
        for (key, write) in zip(keys, applied.writes) {
            let Write::Put(value, life) = write else {
                continue;
            };
            assert!(!life.is_zero(), "Redis takes no expiry of nothing");
            let parts = [
                "SET",
                key,
                str::from_utf8(&value).unwrap(),
                "PX",
                &life.as_millis().to_string(),
            ];
            writes.push(parts.map(|part| part.as_bytes().to_vec()).to_vec());
            let gone_at = self.now + Micros::try_from(life.as_micros()).unwrap();
            self.stored.insert(key.clone(), (value.to_vec(), gone_at));
        }
        let values = keys
            .iter()
            .map(|key| self.value(key).map(<[u8]>::to_vec))
            .collect();
        let context = format!("at {}: {:?} {:?}", self.now, keys, step.arguments());
        self.expected
            .push((context, (applied.reply.clone(), writes, values)));
        let call = self
            .commands
            .cmd("EVALSHA")
            .arg(&self.hash)
            .arg(keys.len())
            .arg(keys);
        call.arg(step.arguments()).arg(self.now);
        applied.reply
    }

    /// Runs the same steps in Lua and compares.
    async fn check(self, mut connection: MultiplexedConnection) -> Result<(), TestCaseError> {
        let outcomes: Vec<LuaOutcome> = self
            .commands
            .query_async(&mut connection)
            .await
            .expect("the script runs");
        assert_eq!(outcomes.len(), self.expected.len());
        for ((context, rust), lua) in zip(self.expected, outcomes) {
            proptest::prop_assert_eq!(rust, lua, "{}", context);
        }
        Ok(())
    }
}
