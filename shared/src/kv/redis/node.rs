//! One Redis server: one multiplexed connection that all questions of this instance are pipelined
//! on, behind a gate.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Pipeline, RedisResult, Value, aio::MultiplexedConnection,
};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

use super::{
    condition::{Condition, condition, is_replica},
    gate::{Gate, Number, Pass, Turn},
    unavailable,
};
use crate::{
    clock::{Clock, Moment},
    kv::KvError,
    telemetry::{describe, metrics},
};

/// What connecting may take. Requests wait for it no longer than their budget, but the next ones
/// find it further on.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// How late a timer may be, at the least, before it says more about this instance (frozen, or short
/// of CPU) than about Redis.
const LATE: Duration = Duration::from_millis(50);

/// A connection that has answered a PING, or why there is none.
type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, KvError>>>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Node(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Clock,
    /// A PING that takes longer is no sign of life: no question could be answered in time.
    budget: Duration,
    /// Whether a replica is of no use. In a cluster it tells where the keys are.
    wants_primary: bool,
    gate: Mutex<Gate<Attempt>>,
}

impl Node {
    pub(super) fn new(client: Client, clock: Clock, budget: Duration, wants_primary: bool) -> Self {
        let gate = Mutex::new(Gate::new(CONNECT.max(budget)));
        Self(Arc::new(Inner {
            client,
            clock,
            budget,
            wants_primary,
            gate,
        }))
    }

    /// Sends commands in one round trip; each has its own outcome. Sends them once more if the
    /// connection turned out to be dead (an instance that was frozen wakes up with one) or to lead
    /// to a server that has become a replica, so everything sent here may run twice.
    pub(super) async fn ask(
        &self,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<RedisResult<Value>>, KvError> {
        let start = Instant::now();
        let using = Using::default();
        let asking = async {
            match self.ask_once(pipeline, &using, deadline).await {
                Err(Trouble::Lost(_)) => {
                    self.gate().lost(using.number());
                    self.ask_once(pipeline, &using, deadline).await
                }
                outcome => outcome,
            }
        };
        let outcome = timeout_at(deadline, asking).await;
        using.measure(&outcome, start);
        match outcome {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(Trouble::Refused(error))) => Err(error),
            Ok(Err(Trouble::Lost(error))) => {
                self.shut(&using, &error);
                Err(error)
            }
            Err(Elapsed { .. }) => {
                self.ran_out_of_time(&using, start, deadline);
                Err(out_of_time())
            }
        }
    }

    async fn ask_once(
        &self,
        pipeline: &Pipeline,
        using: &Using,
        deadline: Instant,
    ) -> Result<Vec<RedisResult<Value>>, Trouble> {
        let pass = self.gate().admit(self.now(), |number| self.connect(number));
        let Some(Pass {
            number,
            connection,
            idle,
        }) = pass
        else {
            return Err(Trouble::Refused(left_alone()));
        };
        using.set(number);
        // An attempt that fails has shut the gate itself.
        let mut connection = connection.await.map_err(Trouble::Refused)?;
        using.connected();
        let answer = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection);
        let outcomes = if idle {
            // It may have died in a freeze: it gets half of the time, so that a new one gets the
            // other half.
            let half = deadline.saturating_duration_since(Instant::now()) / 2;
            timeout(half, answer)
                .await
                .map_err(|_| Trouble::Lost(out_of_time()))?
        } else {
            answer.await
        };
        let outcomes = outcomes.map_err(|error| Trouble::Lost(unavailable(error)))?;
        match condition(&outcomes) {
            Condition::Well => {
                self.gate().answered(number, self.now());
                Ok(outcomes)
            }
            Condition::Replica(error) => Err(Trouble::Lost(unavailable(error))),
            Condition::Unwell(error) => {
                let error = unavailable(error);
                self.shut(using, &error);
                Err(Trouble::Refused(error))
            }
        }
    }

    /// Connects where there is no connection yet, and returns when that has succeeded or failed.
    /// Whether the gate is shut makes no difference: for init, and for whoever wants to know how
    /// Redis is.
    pub(super) async fn reach(&self, deadline: Instant) -> Result<(), KvError> {
        let Pass { connection, .. } = self
            .gate()
            .insist(self.now(), |number| self.connect(number));
        timeout_at(deadline, connection)
            .await
            .map_err(|_| out_of_time())?
            .map(drop)
    }

    /// Starts an attempt, in a task of its own: it goes on when the question that started it does
    /// not wait for it.
    ///
    /// Nothing depends on that task, which is why there may be one on Lambda: an instance that is
    /// frozen meanwhile finishes the attempt when it thaws, or finds that its connection has died
    /// or its time is up; a question that comes before starts another one (see [`Gate::admit`]).
    fn connect(&self, number: Number) -> Attempt {
        let node = self.clone();
        let attempt = async move {
            let outcome = timeout(CONNECT.max(node.0.budget), node.connected())
                .await
                .unwrap_or_else(|_| Err(out_of_time()));
            node.ended(number, outcome.as_ref().err());
            outcome
        };
        let attempt = attempt.boxed().shared();
        tokio::spawn(attempt.clone());
        attempt
    }

    /// A new connection, the server's name looked up anew: after a fail-over it leads elsewhere.
    async fn connected(&self) -> Result<MultiplexedConnection, KvError> {
        // Both ends of waiting are set by who waits.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = self
            .0
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(unavailable)?;
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("PING");
        if self.0.wants_primary {
            pipeline.cmd("ROLE");
        }
        let pong = pipeline
            .ignore_errors()
            .query_async::<Vec<RedisResult<Value>>>(&mut connection);
        let outcomes = timeout(self.0.budget, pong)
            .await
            .map_err(|_| out_of_time())?
            .map_err(unavailable)?;
        match outcomes.as_slice() {
            [Err(error), ..] => Err(unavailable(error.clone())),
            // Users without the right to ask for it are taken at their word.
            [_, Ok(role)] if is_replica(role) => Err(KvError("a replica".into())),
            _ => Ok(connection),
        }
    }

    fn ended(&self, number: Number, error: Option<&KvError>) {
        match self.gate().ended(number, error.is_none(), self.now()) {
            Some(Turn::Opened) => tracing::info!("Redis is used again"),
            Some(Turn::Shut) => log_shut(error),
            None => {}
        }
    }

    fn ran_out_of_time(&self, using: &Using, start: Instant, deadline: Instant) {
        let (allowed, waited) = (deadline - start, start.elapsed());
        if waited > allowed + LATE.max(allowed / 2) {
            self.gate().lost(using.number());
        } else if allowed * 2 >= self.0.budget {
            self.shut(using, &out_of_time());
        }
        // Else the time was almost used up by earlier questions of the same request, which were
        // answered.
    }

    fn shut(&self, using: &Using, error: &KvError) {
        if self
            .gate()
            .failed(using.number(), self.now(), !using.is_connected())
        {
            log_shut(Some(error));
        }
    }

    fn now(&self) -> Moment {
        Moment::now(&self.0.clock)
    }

    fn gate(&self) -> MutexGuard<'_, Gate<Attempt>> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a question was not answered.
enum Trouble {
    /// The connection is of no use; another one may be.
    Lost(KvError),
    Refused(KvError),
}

/// The attempt that a question uses at the moment.
#[derive(Default)]
struct Using {
    number: AtomicU64,
    connected: AtomicBool,
}

impl Using {
    fn set(&self, number: Number) {
        self.number.store(number, Ordering::Relaxed);
        self.connected.store(false, Ordering::Relaxed);
    }

    fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    /// Where nothing was sent, because the gate is shut, there is nothing to measure.
    fn measure<T>(&self, outcome: &Result<Result<T, Trouble>, Elapsed>, start: Instant) {
        let errcode = match outcome {
            _ if self.number() == 0 => return,
            Ok(Ok(_)) => None,
            Ok(Err(Trouble::Lost(_))) => Some("connection"),
            Ok(Err(Trouble::Refused(_))) => Some("refused"),
            Err(_) => Some("timeout"),
        };
        metrics::upstream("redis", errcode.map(str::to_owned), start.elapsed());
    }

    fn number(&self) -> Number {
        self.number.load(Ordering::Relaxed)
    }

    fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

fn log_shut(error: Option<&KvError>) {
    tracing::warn!(
        error = error.map(|error| describe(error)),
        "Redis is left alone for a moment"
    );
}

fn left_alone() -> KvError {
    KvError("left alone after a failure".into())
}

fn out_of_time() -> KvError {
    KvError("no answer in time".into())
}
