//! The store in Redis: the commands of a request are pipelined, within the request's time budget.

mod call;
mod cluster;
mod command;
mod condition;
mod connection_breaker;
mod iam;
mod node;
mod target;
mod write_access;

use std::{sync::LazyLock, time::Duration};

use redis::{Cmd, FromRedisValue, Value};
use secrecy::SecretString;
use tokio::time::Instant;

use self::{
    call::RedisCall,
    cluster::{Cluster, Routed},
    command::{
        Command, CommandError, Outcome, decoded, is_unknown_script, milliseconds, miscounted,
        pipelined,
    },
    node::{CONNECT, Node},
    target::Target,
    write_access::WriteAccess,
};
use super::{Delivery, Holding, KvError, Record, Replies, RoundTrip, Script, Step};
use crate::{
    clock::Clock,
    config::{RedisMode, RedisSettings},
};

/// How long a request may wait for Redis by default.
const BUDGET: Duration = Duration::from_millis(50);

/// Set if absent. An existing value may be the caller's own, from an attempt whose reply was lost.
/// Returns 1 when the key holds the caller's value.
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

/// Compare-and-set for the holder of a claim, who gives it up. Returns 1 when it stored.
static REPLACE_CLAIMED: LazyLock<Script> = LazyLock::new(|| {
    Script::timeless(
        "if redis.call('GET', KEYS[2]) ~= ARGV[4] or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) redis.call('DEL', KEYS[2]) return 1"
            .to_owned(),
    )
});

/// Compare-and-delete.
static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::timeless(
        "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
            .to_owned(),
    )
});

/// Redis. A server that does not respond is bypassed for a while, so that only the first requests
/// wait for it. Cheap to clone.
#[derive(Clone)]
pub struct RedisStore {
    servers: Servers,
    budget: Duration,
    write_access: WriteAccess,
}

#[derive(Clone)]
enum Servers {
    One(Node),
    Many(Cluster),
    /// No usable target. Start-up rejects the settings for which this happens.
    None,
}

impl RedisStore {
    /// A store on one server; connects on first use.
    #[must_use]
    pub fn new(url: &SecretString) -> Self {
        Self::with_budget(url, BUDGET)
    }

    /// The same with another budget for each request.
    #[must_use]
    pub fn with_budget(url: &SecretString, budget: Duration) -> Self {
        let settings = RedisSettings {
            url: url.clone(),
            mode: RedisMode::Standalone,
            ca: None,
            iam: None,
            timeout: budget,
        };
        Self::open(&settings, Clock::System)
    }

    /// A store that connects on first use. The settings were validated when they were read.
    #[must_use]
    pub fn open(settings: &RedisSettings, clock: Clock) -> Self {
        let budget = settings.timeout;
        let is_cluster = matches!(settings.mode, RedisMode::Cluster);
        let write_access = WriteAccess::new(clock.clone(), is_cluster);
        let servers = match settings.mode {
            RedisMode::Standalone => Target::parse(settings)
                .and_then(|target| target.first())
                .map(|server| Servers::One(Node::new(server, clock, budget, true))),
            RedisMode::Cluster => Cluster::new(settings, clock).map(Servers::Many),
        };
        Self {
            servers: servers.unwrap_or(Servers::None),
            budget,
            write_access,
        }
    }

    /// One round trip. A server that has not cached a script yet gets its source in a second one.
    pub(super) async fn ask<const N: usize>(
        &self,
        asked: &RoundTrip<'_, N>,
        delivery: Delivery,
    ) -> Result<Replies<N>, KvError> {
        let commands = writes(asked).chain(asked.keys.into_iter().map(Command::get));
        let mut outcomes = self.send(commands.collect(), delivery).await?;
        let values = outcomes.split_off(asked.removals.len() + asked.steps.len());
        replies(asked, outcomes, values)
    }

    /// The same; all values are errors when a write was refused.
    pub(super) async fn ask_while_writable<const N: usize>(
        &self,
        asked: &RoundTrip<'_, N>,
    ) -> Result<Replies<N>, KvError> {
        let probe_keys = self.write_access.probe_keys(&asked.keys);
        let probes = probe_keys.iter().flat_map(|key| write_access::probes(key));
        let mut commands: Vec<_> = writes(asked).chain(probes).collect();
        let writes = commands.len();
        commands.extend(asked.keys.into_iter().map(Command::get));
        let mut outcomes = self.send(commands, Delivery::BestEffort).await?;
        let values = outcomes.split_off(writes);
        let refusal = write_access::refusal(&outcomes);
        let probe_outcomes = outcomes.split_off(asked.removals.len() + asked.steps.len());
        if refusal.is_none()
            && !probe_outcomes.is_empty()
            && probe_outcomes.iter().all(Result::is_ok)
        {
            self.write_access.prove();
        }
        let mut replies = replies(asked, outcomes, values)?;
        if let Some(refusal) = refusal {
            replies.values = replies.values.map(|_| Err(refusal.clone()));
        }
        Ok(replies)
    }

    pub(super) async fn step(
        &self,
        step: &dyn Step,
        delivery: Delivery,
    ) -> Result<Vec<i64>, KvError> {
        self.one(Command::step(step), delivery).await
    }

    pub(super) async fn put(&self, record: Record<'_>, delivery: Delivery) -> Result<(), KvError> {
        let put = Command::put(&record);
        self.one::<Value>(put, delivery).await.map(drop)
    }

    pub(super) async fn add(
        &self,
        record: Record<'_>,
        delivery: Delivery,
    ) -> Result<bool, KvError> {
        let Record { key, value, ttl } = record;
        let add = Command::script(key, &ADD, move |call| {
            call.arg(1).arg(key).arg(value).arg(milliseconds(ttl));
        });
        self.one(add, delivery).await
    }

    pub(super) async fn replace(
        &self,
        expected: &[u8],
        record: Record<'_>,
        delivery: Delivery,
    ) -> Result<bool, KvError> {
        let Record { key, value, ttl } = record;
        let replace = Command::script(key, &REPLACE, move |call| {
            call.arg(1)
                .arg(key)
                .arg(expected)
                .arg(value)
                .arg(milliseconds(ttl));
        });
        self.one(replace, delivery).await
    }

    pub(super) async fn replace_claimed(
        &self,
        claim: Holding<'_>,
        expected: &[u8],
        record: Record<'_>,
        delivery: Delivery,
    ) -> Result<bool, KvError> {
        let Record { key, value, ttl } = record;
        let replace = Command::script(key, &REPLACE_CLAIMED, move |call| {
            call.arg(2).arg(key).arg(claim.key);
            call.arg(expected).arg(value).arg(milliseconds(ttl));
            call.arg(claim.holder);
        });
        self.one(replace, delivery).await
    }

    pub(super) async fn delete_all(
        &self,
        keys: &[&str],
        delivery: Delivery,
    ) -> Vec<Result<(), KvError>> {
        let commands = keys.iter().map(|key| Command::delete(key)).collect();
        match self.send(commands, delivery).await {
            Ok(outcomes) => {
                let deleted = outcomes.into_iter().map(decoded::<Value>);
                deleted.map(|outcome| outcome.map(drop)).collect()
            }
            Err(error) => vec![Err(error); keys.len()],
        }
    }

    pub(super) async fn delete(&self, key: &str, delivery: Delivery) -> Result<(), KvError> {
        let delete = Command::delete(key);
        self.one::<Value>(delete, delivery).await.map(drop)
    }

    pub(super) async fn remove(
        &self,
        key: &str,
        expected: &[u8],
        delivery: Delivery,
    ) -> Result<(), KvError> {
        let remove = Command::script(key, &REMOVE, move |call| {
            call.arg(1).arg(key).arg(expected);
        });
        self.one::<Value>(remove, delivery).await.map(drop)
    }

    /// Does once what requests do. A refused command is an error, and so is a server that is gone.
    pub(super) async fn probe(&self) -> Result<(), KvError> {
        let keys = match &self.servers {
            Servers::Many(cluster) => {
                let call = RedisCall::start(self.budget, Delivery::Required)?;
                cluster.probe_keys(call.deadline()).await?
            }
            Servers::One(_) | Servers::None => vec!["{health}".to_owned()],
        };
        let commands = keys.iter().flat_map(|key| {
            let value = b"probe";
            let replace = Command::script(key, &REPLACE, move |call| {
                call.arg(1).arg(key).arg(value).arg(value).arg(1000);
            });
            let ttl = Duration::from_secs(10);
            let put = Command::put(&Record { key, value, ttl });
            [put, replace, Command::get(key), Command::delete(key)]
        });
        let outcomes = self.send(commands.collect(), Delivery::Required).await?;
        outcomes
            .into_iter()
            .try_for_each(|outcome| decoded::<Value>(outcome).map(drop))
    }

    /// Connects, with a longer time-out than a request has. For start-up.
    pub(crate) async fn connect(&self) -> Result<(), KvError> {
        let deadline = Instant::now() + CONNECT;
        match &self.servers {
            Servers::One(node) => node.reach(deadline).await,
            Servers::Many(cluster) => cluster.reach(deadline).await,
            Servers::None => Err(no_target()),
        }
    }

    async fn one<T: FromRedisValue>(
        &self,
        command: Command<'_>,
        delivery: Delivery,
    ) -> Result<T, KvError> {
        let outcomes = self.send(vec![command], delivery).await?;
        outcomes
            .into_iter()
            .next()
            .ok_or_else(miscounted)
            .and_then(decoded)
    }

    /// Sends commands in one round trip (in a cluster, one to each node); each has its own outcome.
    /// Commands whose script a node has not cached yet are sent to it again, with the source.
    async fn send(
        &self,
        sent: Vec<Command<'_>>,
        delivery: Delivery,
    ) -> Result<Vec<Outcome>, KvError> {
        let call = RedisCall::start(self.budget, delivery)?;
        let commands = sent
            .iter()
            .map(|command| (command.key, command.cmd.clone()))
            .collect();
        let mut outcomes = self.exchange(commands, call.deadline(), delivery).await?;
        let unknown = |at: &usize| is_unknown_script(&outcomes[*at]);
        let (places, again): (Vec<_>, Vec<_>) = (0..sent.len())
            .filter(unknown)
            .filter_map(|at| Some((at, (sent[at].key, sent[at].with_source.as_ref()?()))))
            .unzip();
        if !again.is_empty() {
            let answers = self.exchange(again, call.deadline(), delivery).await?;
            for (at, outcome) in places.into_iter().zip(answers) {
                outcomes[at] = outcome;
            }
        }
        self.write_access.learn(&sent, &outcomes);
        Ok(outcomes)
    }

    async fn exchange(
        &self,
        commands: Vec<(&str, Cmd)>,
        deadline: Instant,
        delivery: Delivery,
    ) -> Result<Vec<Outcome>, KvError> {
        let count = commands.len();
        let outcomes: Vec<Outcome> = match &self.servers {
            Servers::One(node) => {
                let pipeline = pipelined(commands.into_iter().map(|(_, command)| command));
                let outcomes = node.ask(&pipeline, deadline, delivery).await?;
                outcomes
                    .into_iter()
                    .map(|outcome| outcome.map_err(CommandError::Refused))
                    .collect()
            }
            Servers::Many(cluster) => {
                let routed = |(key, command): (&str, Cmd)| Routed {
                    key: key.as_bytes().to_vec(),
                    command,
                };
                cluster
                    .ask(
                        commands.into_iter().map(routed).collect(),
                        deadline,
                        delivery,
                    )
                    .await?
            }
            Servers::None => return Err(no_target()),
        };
        if outcomes.len() == count {
            Ok(outcomes)
        } else {
            Err(miscounted())
        }
    }
}

fn no_target() -> KvError {
    KvError::Unavailable("no usable REDIS_URL".into())
}

fn writes<'a, const N: usize>(asked: &RoundTrip<'a, N>) -> impl Iterator<Item = Command<'a>> {
    let removals = asked.removals.iter().map(|key| Command::delete(key));
    removals.chain(asked.steps.iter().map(|step| Command::step(*step)))
}

/// `written` are the outcomes of [`writes`], `read` those of the keys.
fn replies<const N: usize>(
    asked: &RoundTrip<'_, N>,
    mut written: Vec<Outcome>,
    read: Vec<Outcome>,
) -> Result<Replies<N>, KvError> {
    let steps = written.split_off(asked.removals.len());
    let read: Vec<_> = read.into_iter().map(decoded).collect();
    let removed = written.into_iter().map(decoded::<Value>);
    Ok(Replies {
        removals: removed.map(|outcome| outcome.map(drop)).collect(),
        steps: steps.into_iter().map(decoded).collect(),
        values: read.try_into().map_err(|_| miscounted())?,
    })
}
