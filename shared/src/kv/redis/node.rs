//! One Redis server: one multiplexed connection for all calls of this instance, behind a breaker.

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
use redis::{AsyncConnectionConfig, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

use super::{
    command::unavailable,
    condition::{Condition, condition, is_replica},
    connection_breaker::{ConnectionBreaker, Number, Pass, Transition},
    target::Server,
};
use crate::{
    clock::{Clock, Moment},
    kv::{Delivery, KvError},
    telemetry::{describe, metrics},
};

/// How long connecting may take. A request waits for it no longer than its budget; the attempt
/// continues for later ones.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// A timer that fires later than this says more about this instance (frozen, or short of CPU) than
/// about Redis.
const LATE: Duration = Duration::from_millis(50);

/// A connection that has answered a PING, or why there is none.
type Attempt = Shared<BoxFuture<'static, Result<MultiplexedConnection, KvError>>>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Node(Arc<Inner>);

struct Inner {
    server: Server,
    clock: Clock,
    /// A PING that takes longer counts as failed: no call would be answered in time either.
    budget: Duration,
    /// Whether a replica is rejected. In a cluster, replicas redirect to the owner of a key.
    wants_primary: bool,
    breaker: Mutex<ConnectionBreaker<Attempt>>,
}

impl Node {
    pub(super) fn new(server: Server, clock: Clock, budget: Duration, wants_primary: bool) -> Self {
        let breaker = Mutex::new(ConnectionBreaker::new(CONNECT.max(budget)));
        Self(Arc::new(Inner {
            server,
            clock,
            budget,
            wants_primary,
            breaker,
        }))
    }

    /// Sends commands in one round trip; each has its own outcome. Sends them again if the
    /// connection turned out to be dead (an instance that was frozen wakes up with one) or to lead
    /// to a server that has become a replica, so everything sent here may run twice.
    pub(super) async fn ask(
        &self,
        pipeline: &Pipeline,
        deadline: Instant,
        delivery: Delivery,
    ) -> Result<Vec<RedisResult<Value>>, KvError> {
        let start = Instant::now();
        let using = AttemptInUse::default();
        let asking = async {
            let ask_once = || self.ask_once(pipeline, &using, deadline, delivery);
            match ask_once().await {
                Err(AttemptError::Lost(_)) => {
                    self.breaker().lost(using.number());
                    ask_once().await
                }
                outcome => outcome,
            }
        };
        let outcome = timeout_at(deadline, asking).await;
        using.measure(&outcome, start);
        match outcome {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(AttemptError::Refused(error))) => Err(error),
            Ok(Err(AttemptError::Lost(error))) => {
                self.back_off(&using, &error);
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
        using: &AttemptInUse,
        deadline: Instant,
        delivery: Delivery,
    ) -> Result<Vec<RedisResult<Value>>, AttemptError> {
        let pass = self.admit(delivery);
        let Some(Pass {
            number,
            connection,
            idle,
        }) = pass
        else {
            return Err(AttemptError::Refused(bypassed()));
        };
        using.set(number);
        // A failed attempt has begun the backoff itself.
        let mut connection = connection.await.map_err(AttemptError::Refused)?;
        using.connected();
        let answer = pipeline.query_async::<Vec<RedisResult<Value>>>(&mut connection);
        let outcomes = if idle {
            // The connection may have died during a freeze: it gets half of the time, so that a new
            // one gets the other half.
            let half = deadline.saturating_duration_since(Instant::now()) / 2;
            timeout(half, answer)
                .await
                .map_err(|_| AttemptError::Lost(out_of_time()))?
        } else {
            answer.await
        };
        let outcomes = outcomes.map_err(|error| AttemptError::Lost(unavailable(error)))?;
        match condition(&outcomes) {
            Condition::Healthy => {
                self.breaker().answered(number, self.now());
                Ok(outcomes)
            }
            Condition::Replica(error) => Err(AttemptError::Lost(unavailable(error))),
            Condition::Unhealthy(error) => {
                let error = unavailable(error);
                self.back_off(using, &error);
                Err(AttemptError::Refused(error))
            }
        }
    }

    fn admit(&self, delivery: Delivery) -> Option<Pass<Attempt>> {
        let (mut breaker, now) = (self.breaker(), self.now());
        let connect = |number| self.connect(number);
        match delivery {
            Delivery::BestEffort => breaker.admit(now, connect),
            Delivery::Required => Some(breaker.force_attempt(now, connect)),
        }
    }

    /// Connects if there is no connection yet, even during a backoff, and returns when that has
    /// succeeded or failed: for start-up, and for callers that want the actual state of Redis.
    pub(super) async fn reach(&self, deadline: Instant) -> Result<(), KvError> {
        let Pass { connection, .. } = self
            .breaker()
            .force_attempt(self.now(), |number| self.connect(number));
        timeout_at(deadline, connection)
            .await
            .map_err(|_| out_of_time())?
            .map(drop)
    }

    /// Starts an attempt in a task of its own, which continues when the call that started it does
    /// not wait for it.
    ///
    /// Nothing depends on that task, which is why it is safe on Lambda: an instance that is frozen
    /// meanwhile finishes the attempt when it thaws, or finds its connection dead or its time-out
    /// exceeded; a call that comes before that starts another one (see
    /// [`ConnectionBreaker::admit`]).
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

    /// A new connection. Resolves the server's name again: after a fail-over it can have another
    /// address.
    async fn connected(&self) -> Result<MultiplexedConnection, KvError> {
        // The caller sets both time-outs.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = self.0.server.client(self.0.clock.now())?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
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
            // Without permission to run ROLE, the server is assumed to be a primary.
            [_, Ok(role)] if is_replica(role) => {
                Err(KvError::Unavailable("the server is a replica".into()))
            }
            _ => Ok(connection),
        }
    }

    fn ended(&self, number: Number, error: Option<&KvError>) {
        match self.breaker().ended(number, error.is_none()) {
            Some(Transition::Connected) => tracing::info!("Redis is used again"),
            Some(Transition::BackedOff) => log_bypassed(error),
            None => {}
        }
    }

    fn ran_out_of_time(&self, using: &AttemptInUse, start: Instant, deadline: Instant) {
        let (allowed, waited) = (deadline - start, start.elapsed());
        if waited > allowed + LATE.max(allowed / 2) {
            self.breaker().lost(using.number());
        } else if allowed * 2 >= self.0.budget {
            self.back_off(using, &out_of_time());
        }
        // Else earlier calls of the same request, which were answered, had used up most of the
        // time.
    }

    fn back_off(&self, using: &AttemptInUse, error: &KvError) {
        if self
            .breaker()
            .failed(using.number(), self.now(), !using.is_connected())
        {
            log_bypassed(Some(error));
        }
    }

    fn now(&self) -> Moment {
        Moment::now(&self.0.clock)
    }

    fn breaker(&self) -> MutexGuard<'_, ConnectionBreaker<Attempt>> {
        self.0
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a call has no reply.
enum AttemptError {
    /// The connection is unusable; another one may work.
    Lost(KvError),
    /// Another connection would not help.
    Refused(KvError),
}

/// The attempt that a call uses.
#[derive(Default)]
struct AttemptInUse {
    number: AtomicU64,
    connected: AtomicBool,
}

impl AttemptInUse {
    fn set(&self, number: Number) {
        self.number.store(number, Ordering::Relaxed);
        self.connected.store(false, Ordering::Relaxed);
    }

    fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    /// Nothing was sent during a backoff, so there is nothing to measure.
    fn measure<T>(&self, outcome: &Result<Result<T, AttemptError>, Elapsed>, start: Instant) {
        let errcode = match outcome {
            _ if self.number() == 0 => return,
            Ok(Ok(_)) => None,
            Ok(Err(AttemptError::Lost(_))) => Some("connection"),
            Ok(Err(AttemptError::Refused(_))) => Some("refused"),
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

fn log_bypassed(error: Option<&KvError>) {
    tracing::warn!(
        error = error.map(|error| describe(error)),
        "Redis bypassed after a failure"
    );
}

fn bypassed() -> KvError {
    KvError::Unavailable("bypassed after a failure".into())
}

fn out_of_time() -> KvError {
    KvError::Unavailable("no reply in time".into())
}
