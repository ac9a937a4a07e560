//! A circuit breaker in front of one upstream, as one instance uses it: it looks with the
//! admission, calls if it may, and reports how the call ended.
//!
//! Two breakers decide. The shared one opens when the upstream fails for several instances; it is
//! the store's. This instance's own one is the same machine with a quorum of one, in memory: an
//! instance whose own network is broken stops only itself, and it is all there is while the store
//! is out of reach.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;

use super::breaker::{
    Answer, Breaker, BreakerError, BreakerStep, Generation, InstanceId, Outcomes, Probe,
    ProbeToken, Standing, Transition,
};
use crate::{
    clock::{Clock, Moment},
    config::BreakerSettings,
    kv::{Delivery, Kv, MemoryStore},
    random::Random,
    request,
    telemetry::{
        OrDegraded,
        metrics::{self, BreakerState},
    },
};

/// What was heard of the shared breaker is believed for this long: the call that follows an
/// admission need not ask again.
const FRESH: Duration = Duration::from_millis(250);
/// Good calls older than the breaker's window tell nothing any more.
const WINDOW: Duration = Duration::from_secs(10);

/// What the log calls trouble with the shared breaker.
const WHAT: &str = "circuit breaker";

/// The breaker is open: nothing was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{upstream}: the circuit breaker is open")]
pub struct Refused {
    upstream: &'static str,
    /// When it may be different.
    pub retry_after: Duration,
}

/// How a call ended, for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The upstream answered.
    Good,
    /// It answered, and took too long.
    Slow,
    /// It did not, or not usably.
    Failed,
    /// Nobody knows: the call was ended before it had its time.
    Unknown,
}

/// The breakers in front of one upstream. Keep one per instance.
pub struct Guard {
    upstream: &'static str,
    shared: Option<(Kv, Breaker)>,
    own: Option<(MemoryStore, Breaker)>,
    clock: Clock,
    random: Random,
    memory: Mutex<Memory>,
}

/// What this instance remembers between two questions.
#[derive(Default)]
struct Memory {
    heard: Option<(Moment, Answer)>,
    /// Good calls that ride along with the next look, and since when they wait.
    good: Option<(Moment, Outcomes)>,
}

impl Guard {
    /// A guard in front of `upstream`. Where instances share no state, `shared` is none; in a
    /// process that is alone the memory of it is, and there is no other breaker beside it.
    ///
    /// # Errors
    /// [`BreakerError`] for settings that can't work.
    pub fn new(
        upstream: &'static str,
        settings: &BreakerSettings,
        shared: Option<Kv>,
        (clock, random): (Clock, Random),
    ) -> Result<Self, BreakerError> {
        let alone = matches!(shared, Some(Kv::Memory(_)));
        let instance = InstanceId::draw(&random);
        let quorum_of_one = BreakerSettings {
            quorum: 1,
            ..*settings
        };
        // By itself an instance sees few calls.
        let own = BreakerSettings {
            min_calls: settings.min_calls.div_ceil(2),
            ..quorum_of_one
        };
        let breaker = |settings| Breaker::new(upstream, settings, instance, random.clone());
        let shared_breaker = breaker(if alone { &quorum_of_one } else { settings })?;
        let own = if alone {
            None
        } else {
            Some((MemoryStore::new(clock.clone()), breaker(&own)?))
        };
        let shared = shared.map(|kv| (kv, shared_breaker));
        Ok(Self {
            upstream,
            shared,
            own,
            clock,
            random,
            memory: Mutex::default(),
        })
    }

    /// The step that asks how the shared breaker stands, for an admission to take along. None where
    /// there is nothing to ask.
    #[must_use]
    pub fn look(&self) -> Option<BreakerStep> {
        let (_, breaker) = self.shared.as_ref()?;
        if self.known_refusal().is_some() {
            return None;
        }
        Some(breaker.look(self.waiting_outcomes()))
    }

    /// What came of the look. `None`: it was not taken.
    ///
    /// # Errors
    /// [`Refused`] when no call may be made.
    pub fn hear(&self, reply: Option<&[i64]>) -> Result<(), Refused> {
        if let Some(answer) = reply.and_then(read) {
            self.note(&answer);
        }
        if let Some(refused) = self.known_refusal().or_else(|| self.refusal_of_own()) {
            Err(refused)
        } else {
            Ok(())
        }
    }

    /// Lets a call pass.
    ///
    /// # Errors
    /// [`Refused`] when none may be made.
    pub async fn enter(&self) -> Result<Pass<'_>, Refused> {
        if let Some(refused) = self.known_refusal().or_else(|| self.refusal_of_own()) {
            return Err(refused);
        }
        let shared = match &self.shared {
            Some((kv, breaker)) => self.enter_shared(kv, breaker).await?,
            None => None,
        };
        match self.enter_own() {
            Ok(own) => Ok(Pass {
                guard: self,
                shared,
                own,
            }),
            Err(refused) => {
                self.give_back(shared).await;
                Err(refused)
            }
        }
    }

    async fn enter_shared(&self, kv: &Kv, breaker: &Breaker) -> Result<Option<Entry>, Refused> {
        let answer = match self.freshly_heard() {
            Some(answer) => answer,
            None => match self
                .ask(
                    kv,
                    &breaker.look(self.waiting_outcomes()),
                    Delivery::BestEffort,
                )
                .await
            {
                Some(answer) => answer,
                None => return Ok(None),
            },
        };
        if !matches!(
            answer.standing,
            Standing::HalfOpen(Probe::Free | Probe::Yours(_))
        ) {
            return self.pass_or_refuse(&answer, None).map(Some);
        }
        let token = ProbeToken::draw(&self.random);
        match self
            .ask(
                kv,
                &breaker.acquire(token, Outcomes::default()),
                Delivery::BestEffort,
            )
            .await
        {
            Some(answer) => self.pass_or_refuse(&answer, Some(token)).map(Some),
            None => Ok(None),
        }
    }

    fn enter_own(&self) -> Result<Option<Entry>, Refused> {
        let Some((store, breaker)) = &self.own else {
            return Ok(None);
        };
        let token = ProbeToken::draw(&self.random);
        match read(&store.step(&breaker.acquire(token, Outcomes::default()))) {
            Some(answer) => self.pass_or_refuse(&answer, Some(token)).map(Some),
            None => Ok(None),
        }
    }

    fn pass_or_refuse(&self, answer: &Answer, token: Option<ProbeToken>) -> Result<Entry, Refused> {
        match answer.standing {
            Standing::Closed => Ok(Entry {
                generation: answer.generation,
                token: None,
            }),
            Standing::HalfOpen(Probe::Yours(_)) => Ok(Entry {
                generation: answer.generation,
                token,
            }),
            _ => Err(self.refused(answer.standing)),
        }
    }

    fn refused(&self, standing: Standing) -> Refused {
        let retry_after = match standing {
            Standing::Open { retry_after } | Standing::HalfOpen(Probe::Taken(retry_after)) => {
                retry_after
            }
            Standing::Closed | Standing::HalfOpen(Probe::Free | Probe::Yours(_)) => {
                Duration::from_secs(1)
            }
        };
        Refused {
            upstream: self.upstream,
            retry_after,
        }
    }

    /// The refusal that the shared breaker would give now, when that is known without asking.
    fn known_refusal(&self) -> Option<Refused> {
        let memory = self.memory();
        let (then, answer) = memory.heard.as_ref()?;
        let elapsed = Moment::now(&self.clock).since(*then);
        let left = |wait: Duration, longest: Duration| {
            wait.min(longest)
                .checked_sub(elapsed)
                .filter(|left| !left.is_zero())
        };
        let retry_after = match answer.standing {
            Standing::Open { retry_after } => left(retry_after, Duration::MAX)?,
            // The probe may end at any moment.
            Standing::HalfOpen(Probe::Taken(wait)) => left(wait, FRESH)?,
            _ => return None,
        };
        Some(Refused {
            upstream: self.upstream,
            retry_after,
        })
    }

    fn refusal_of_own(&self) -> Option<Refused> {
        let (store, breaker) = self.own.as_ref()?;
        let answer = read(&store.step(&breaker.look(Outcomes::default())))?;
        let is_refusal = matches!(
            answer.standing,
            Standing::Open { .. } | Standing::HalfOpen(Probe::Taken(_))
        );
        is_refusal.then(|| self.refused(answer.standing))
    }

    fn freshly_heard(&self) -> Option<Answer> {
        let memory = self.memory();
        let (then, answer) = memory.heard.as_ref()?;
        (Moment::now(&self.clock).since(*then) < FRESH).then_some(*answer)
    }

    async fn ask(&self, kv: &Kv, step: &BreakerStep, delivery: Delivery) -> Option<Answer> {
        let reply = kv.step(step, delivery).await.or_degraded(WHAT)?;
        let answer = read(&reply)?;
        self.note(&answer);
        Some(answer)
    }

    /// Remembers what the shared breaker said, and tells what has changed.
    fn note(&self, answer: &Answer) {
        self.memory().heard = Some((Moment::now(&self.clock), *answer));
        metrics::breaker_state(self.upstream, state(answer.standing));
        self.tell(answer.transition, "all instances");
    }

    fn tell(&self, transition: Option<Transition>, scope: &'static str) {
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

    /// Good calls that nobody was told of. Told now, or lost: they are worth no question of their
    /// own.
    fn waiting_outcomes(&self) -> Outcomes {
        let now = Moment::now(&self.clock);
        let waiting = self
            .memory()
            .good
            .take()
            .filter(|(since, _)| now.since(*since) < WINDOW);
        waiting.map(|(_, outcomes)| outcomes).unwrap_or_default()
    }

    fn let_wait(&self, generation: Generation) {
        let now = Moment::now(&self.clock);
        let mut memory = self.memory();
        let waiting = memory
            .good
            .filter(|(since, good)| good.generation == generation && now.since(*since) < WINDOW);
        let (since, good) = waiting.unwrap_or((
            now,
            Outcomes {
                generation,
                ..Outcomes::default()
            },
        ));
        memory.good = Some((
            since,
            Outcomes {
                good: good.good.saturating_add(1),
                ..good
            },
        ));
    }

    async fn give_back(&self, entry: Option<Entry>) {
        let (
            Some((kv, breaker)),
            Some(Entry {
                generation,
                token: Some(token),
            }),
        ) = (&self.shared, entry)
        else {
            return;
        };
        let nothing = Outcomes {
            generation,
            ..Outcomes::default()
        };
        self.ask(
            kv,
            &breaker.report(nothing, Some(token)),
            Delivery::Required,
        )
        .await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In which state of a breaker a call began.
#[derive(Debug, Clone, Copy)]
struct Entry {
    generation: Generation,
    /// Of a probe.
    token: Option<ProbeToken>,
}

/// The right to make one call. Dropped without an end (the caller went away), it tells nothing; a
/// probe's lease then runs out.
#[must_use = "a call that is not reported teaches the breaker nothing"]
pub struct Pass<'a> {
    guard: &'a Guard,
    shared: Option<Entry>,
    own: Option<Entry>,
}

impl Pass<'_> {
    /// Reports how the call ended: a failure, and all of a probe, at once; what was good rides
    /// along with the next look.
    pub async fn end(self, verdict: Verdict) {
        let Self { guard, shared, own } = self;
        if let (Some((store, breaker)), Some(entry)) = (&guard.own, own) {
            let reply = store.step(&breaker.report(outcomes(entry, verdict), entry.token));
            guard.tell(
                read(&reply).and_then(|answer| answer.transition),
                "this instance",
            );
        }
        let (Some((kv, breaker)), Some(entry)) = (&guard.shared, shared) else {
            return;
        };
        match (verdict, entry.token) {
            (Verdict::Unknown, None) => {}
            (Verdict::Good, None) => guard.let_wait(entry.generation),
            (_, token) => drop(
                guard
                    .ask(
                        kv,
                        &breaker.report(outcomes(entry, verdict), token),
                        Delivery::Required,
                    )
                    .await,
            ),
        }
    }
}

fn outcomes(entry: Entry, verdict: Verdict) -> Outcomes {
    let one = |wanted| u32::from(verdict == wanted);
    let (good, slow, failed) = (one(Verdict::Good), one(Verdict::Slow), one(Verdict::Failed));
    Outcomes {
        generation: entry.generation,
        good,
        slow,
        failed,
    }
}

fn read(reply: &[i64]) -> Option<Answer> {
    Answer::read(reply).or_degraded(WHAT)
}

fn state(standing: Standing) -> BreakerState {
    match standing {
        Standing::Closed => BreakerState::Closed,
        Standing::Open { .. } => BreakerState::Open,
        Standing::HalfOpen(_) => BreakerState::HalfOpen,
    }
}

#[cfg(test)]
mod tests;
