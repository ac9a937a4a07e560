//! A circuit breaker in front of one upstream, as one instance uses it: it checks during the
//! admission, calls if it may, and reports how the call ended.
//!
//! Two breakers decide. The shared one opens when the upstream fails for several instances; its
//! state is in the store. The local one is the same machine with a quorum of one, in memory: it
//! lets an instance whose own network is broken stop only itself, and it is the only breaker while
//! the store is unavailable.

mod check;
mod memory;
mod permit;

use std::{sync::Mutex, time::Duration};

use thiserror::Error;

pub use self::check::GuardCheck;
use self::memory::Memory;
use self::permit::CallStart;
pub use self::permit::{CallOutcome, CallPermit};
use super::breaker::{
    Breaker, BreakerError, BreakerReply, BreakerStatus, BreakerStep, InstanceId, Outcomes, Probe,
    ProbeToken, Transition,
};
use crate::{
    clock::Clock,
    config::BreakerSettings,
    kv::{Delivery, Kv, MemoryStore},
    random::Random,
    request,
    telemetry::{
        OrDegraded,
        metrics::{self, BreakerState},
    },
};

/// The name of the shared breaker in `degraded` log lines.
const WHAT: &str = "circuit breaker";

/// The breaker is open: no call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{upstream}: the circuit breaker is open")]
pub struct CircuitOpen {
    upstream: &'static str,
    /// When a call may be tried again.
    pub retry_after: Duration,
}

/// The breakers in front of one upstream. Keep one per instance.
pub struct Guard {
    upstream: &'static str,
    shared: Option<(Kv, Breaker)>,
    local: Option<(MemoryStore, Breaker)>,
    random: Random,
    memory: Mutex<Memory>,
}

/// What a [`Guard`] needs besides its settings.
pub struct GuardParts {
    /// Where instances share the breaker's state, if they do. For a single process it is the
    /// process's memory, and there is no local breaker then.
    pub shared: Option<Kv>,
    /// The time.
    pub clock: Clock,
    /// For the ids of this instance and of its probes, and for the jitter of open times.
    pub random: Random,
}

impl Guard {
    /// A guard in front of `upstream`.
    ///
    /// # Errors
    /// [`BreakerError`] for settings that can't work.
    pub fn new(
        upstream: &'static str,
        settings: &BreakerSettings,
        parts: GuardParts,
    ) -> Result<Self, BreakerError> {
        let GuardParts {
            shared,
            clock,
            random,
        } = parts;
        let alone = matches!(shared, Some(Kv::Memory(_)));
        let instance = InstanceId::draw(&random);
        let breaker = |settings| Breaker::new(upstream, settings, instance, random.clone());
        let quorum_of_one = BreakerSettings {
            quorum: 1,
            ..*settings
        };
        let shared_breaker = breaker(if alone { &quorum_of_one } else { settings })?;
        let local = if alone {
            None
        } else {
            // An instance sees few calls by itself.
            let min_calls = settings.min_calls.div_ceil(2);
            let local = breaker(&BreakerSettings {
                min_calls,
                ..quorum_of_one
            })?;
            Some((MemoryStore::new(clock.clone()), local))
        };
        Ok(Self {
            upstream,
            shared: shared.map(|kv| (kv, shared_breaker)),
            local,
            random,
            memory: Mutex::new(Memory::new(clock)),
        })
    }

    /// The question for the status of the shared breaker, to be sent along with an admission.
    /// `None` when there is nothing to ask.
    #[must_use]
    pub fn check(&self) -> Option<GuardCheck<'_>> {
        let (_, breaker) = self.shared.as_ref()?;
        if self.cached_refusal().is_some() {
            return None;
        }
        Some(GuardCheck::new(self, breaker))
    }

    /// Records the reply to [`Self::check`]; `None` when it is not known whether the step ran.
    ///
    /// # Errors
    /// [`CircuitOpen`] when no call may be made.
    pub fn record_reply(
        &self,
        check: Option<GuardCheck<'_>>,
        reply: Option<&[i64]>,
    ) -> Result<(), CircuitOpen> {
        let known = match reply {
            Some(reply) => {
                if let Some(check) = check {
                    check.confirm();
                }
                if let Some(reply) = read(reply) {
                    self.remember(&reply);
                }
                self.cached_refusal()
            }
            None => self.refusal_without_reply(),
        };
        known.or_else(|| self.local_refusal()).map_or(Ok(()), Err)
    }

    /// The right to make a call.
    ///
    /// # Errors
    /// [`CircuitOpen`] when none may be made.
    pub async fn acquire(&self) -> Result<CallPermit<'_>, CircuitOpen> {
        if let Some(refusal) = self.known_refusal() {
            return Err(refusal);
        }
        let shared = match &self.shared {
            Some((kv, breaker)) => self.acquire_shared(kv, breaker).await?,
            None => None,
        };
        match self.acquire_local() {
            Ok(local) => Ok(CallPermit {
                guard: self,
                shared,
                local,
            }),
            Err(refusal) => {
                self.return_probe(shared).await;
                Err(refusal)
            }
        }
    }

    async fn acquire_shared(
        &self,
        kv: &Kv,
        breaker: &Breaker,
    ) -> Result<Option<CallStart>, CircuitOpen> {
        let cached = self.memory().cached_reply();
        let reply = if let Some(reply) = cached {
            reply
        } else {
            let check = GuardCheck::new(self, breaker);
            let Some(reply) = self.ask(kv, check.step(), Delivery::BestEffort).await else {
                return self.refusal_without_reply().map_or(Ok(None), Err);
            };
            check.confirm();
            reply
        };
        let is_probe = matches!(
            reply.status,
            BreakerStatus::HalfOpen(Probe::Free | Probe::Yours(_))
        );
        if !is_probe {
            return self.start_or_refuse(&reply, None).map(Some);
        }
        let token = ProbeToken::draw(&self.random);
        let acquire = breaker.acquire(token, Outcomes::default());
        match self.ask(kv, &acquire, Delivery::BestEffort).await {
            Some(reply) => self.start_or_refuse(&reply, Some(token)).map(Some),
            None => Ok(None),
        }
    }

    fn acquire_local(&self) -> Result<Option<CallStart>, CircuitOpen> {
        let Some((store, breaker)) = &self.local else {
            return Ok(None);
        };
        let token = ProbeToken::draw(&self.random);
        match read(&store.step(&breaker.acquire(token, Outcomes::default()))) {
            Some(reply) => self.start_or_refuse(&reply, Some(token)).map(Some),
            None => Ok(None),
        }
    }

    fn start_or_refuse(
        &self,
        reply: &BreakerReply,
        token: Option<ProbeToken>,
    ) -> Result<CallStart, CircuitOpen> {
        let generation = reply.generation;
        match reply.status {
            BreakerStatus::Closed => Ok(CallStart {
                generation,
                token: None,
            }),
            BreakerStatus::HalfOpen(Probe::Yours(_)) => Ok(CallStart { generation, token }),
            status => Err(self.refusal(retry_after(status))),
        }
    }

    fn refusal(&self, retry_after: Duration) -> CircuitOpen {
        // A refusal that is known asks nobody, so nothing else would say that calls are refused.
        metrics::breaker_state(self.upstream, BreakerState::Open);
        CircuitOpen {
            upstream: self.upstream,
            retry_after,
        }
    }

    /// The refusal that a call would get now, when that is known without asking shared state.
    #[must_use]
    pub fn known_refusal(&self) -> Option<CircuitOpen> {
        self.cached_refusal().or_else(|| self.local_refusal())
    }

    /// The refusal that the shared breaker would give now, when that is known without asking.
    fn cached_refusal(&self) -> Option<CircuitOpen> {
        let retry_after = self.memory().cached_refusal()?;
        Some(self.refusal(retry_after))
    }

    /// The refusal that the shared breaker gave last, when it was asked again and did not reply.
    fn refusal_without_reply(&self) -> Option<CircuitOpen> {
        let retry_after = self.memory().refusal_without_reply()?;
        Some(self.refusal(retry_after))
    }

    fn local_refusal(&self) -> Option<CircuitOpen> {
        let status = self.local_status()?;
        let is_refusal = matches!(
            status,
            BreakerStatus::Open { .. } | BreakerStatus::HalfOpen(Probe::Taken(_))
        );
        is_refusal.then(|| self.refusal(retry_after(status)))
    }

    /// The breaker of this instance, if it has one of its own.
    fn local_status(&self) -> Option<BreakerStatus> {
        let (store, breaker) = self.local.as_ref()?;
        Some(read(&store.step(&breaker.check(Outcomes::default())))?.status)
    }

    /// Records the more restrictive state of the breaker of this instance and the shared one, where
    /// that is known: either refuses calls.
    fn record_state(&self, shared: Option<BreakerStatus>) {
        let states = [shared, self.local_status()]
            .into_iter()
            .flatten()
            .map(state);
        metrics::breaker_state(self.upstream, states.max().unwrap_or(BreakerState::Closed));
    }

    async fn ask(&self, kv: &Kv, step: &BreakerStep, delivery: Delivery) -> Option<BreakerReply> {
        let reply = read(&kv.step(step, delivery).await.or_degraded(WHAT)?)?;
        self.remember(&reply);
        Some(reply)
    }

    /// Caches a reply of the shared breaker, and reports its transition.
    fn remember(&self, reply: &BreakerReply) {
        self.memory().remember(*reply);
        self.record_state(Some(reply.status));
        self.report_transition(reply.transition, "all instances");
    }

    fn report_transition(&self, transition: Option<Transition>, scope: &'static str) {
        let Some(transition) = transition else { return };
        let (from, to) = match transition {
            Transition::Opened => (BreakerState::Closed, BreakerState::Open),
            Transition::Reopened => (BreakerState::HalfOpen, BreakerState::Open),
            Transition::Recovered => (BreakerState::HalfOpen, BreakerState::Closed),
        };
        metrics::breaker_transition(self.upstream, from, to);
        let (request_id, upstream) = (request::id(), self.upstream);
        tracing::warn!(request_id, upstream, transition = ?transition, scope, "circuit breaker");
    }

    async fn return_probe(&self, start: Option<CallStart>) {
        let (Some((kv, breaker)), Some(start)) = (&self.shared, start) else {
            return;
        };
        if start.token.is_some() {
            let report = breaker.report(start.outcomes(CallOutcome::Unknown), start.token);
            self.ask(kv, &report, Delivery::Required).await;
        }
    }
}

fn read(reply: &[i64]) -> Option<BreakerReply> {
    BreakerReply::read(reply).or_degraded(WHAT)
}

/// When a refused call may be tried again.
fn retry_after(status: BreakerStatus) -> Duration {
    match status {
        BreakerStatus::Open { retry_after }
        | BreakerStatus::HalfOpen(Probe::Taken(retry_after)) => retry_after,
        BreakerStatus::Closed | BreakerStatus::HalfOpen(Probe::Free | Probe::Yours(_)) => {
            Duration::from_secs(1)
        }
    }
}

fn state(status: BreakerStatus) -> BreakerState {
    match status {
        BreakerStatus::Closed => BreakerState::Closed,
        BreakerStatus::Open { .. } => BreakerState::Open,
        BreakerStatus::HalfOpen(_) => BreakerState::HalfOpen,
    }
}

#[cfg(test)]
mod tests;
