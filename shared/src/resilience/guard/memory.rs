//! What an instance caches of the shared breaker between calls.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    super::breaker::{BreakerReply, BreakerStatus, Generation, Outcomes, Probe},
    Guard,
};
use crate::clock::{Clock, Moment};

/// How long a reply may be reused: the call that follows an admission need not ask again.
const FRESH: Duration = Duration::from_millis(250);
/// How long a refusal is repeated without asking, however long the breaker said that it lasts: it may
/// have been closed or reset by hand meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long the last refusal still holds while the breaker does not reply. After that the instance's
/// own breaker decides alone.
const WITHOUT_REPLY: Duration = Duration::from_mins(1);
/// Successes older than the breaker's window no longer count.
const WINDOW: Duration = Duration::from_secs(10);

/// Successes that were not reported yet.
#[derive(Clone, Copy)]
pub(super) struct Deferred {
    /// When the first one was deferred.
    since: Moment,
    pub(super) outcomes: Outcomes,
}

pub(super) struct Memory {
    clock: Clock,
    reply: Option<(Moment, BreakerReply)>,
    /// To be sent along with the next check.
    deferred: Option<Deferred>,
}

impl Memory {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            reply: None,
            deferred: None,
        }
    }

    pub(super) fn remember(&mut self, reply: BreakerReply) {
        self.reply = Some((Moment::now(&self.clock), reply));
    }

    /// The last reply, while it is fresh.
    pub(super) fn cached_reply(&self) -> Option<BreakerReply> {
        let (then, reply) = self.reply?;
        (Moment::now(&self.clock).since(then) < FRESH).then_some(reply)
    }

    /// How long the shared breaker refuses calls from now on, while that need not be asked.
    pub(super) fn cached_refusal(&self) -> Option<Duration> {
        self.refusal_within(ASK_AGAIN)
    }

    /// The same when the breaker was asked and did not reply.
    pub(super) fn refusal_without_reply(&self) -> Option<Duration> {
        self.refusal_within(WITHOUT_REPLY)
    }

    /// The rest of the refusal in the last reply, if that is not older than `age`.
    fn refusal_within(&self, age: Duration) -> Option<Duration> {
        let (then, reply) = self.reply?;
        let elapsed = Moment::now(&self.clock).since(then);
        let wait = match reply.status {
            BreakerStatus::Open { retry_after } => retry_after,
            // The probe may end at any moment.
            BreakerStatus::HalfOpen(Probe::Taken(wait)) => wait.min(FRESH),
            _ => return None,
        };
        let left = wait.checked_sub(elapsed)?;
        (elapsed < age && !left.is_zero()).then_some(left)
    }

    /// Takes the successes that were not reported yet. Put them back if the breaker does not reply.
    pub(super) fn take_deferred(&mut self) -> Option<Deferred> {
        let deferred = self.deferred.take();
        deferred.filter(|deferred| self.counts(deferred))
    }

    /// Keeps successes for the next check. Of two generations the older one no longer counts.
    pub(super) fn defer(&mut self, new: Deferred) {
        let old = self.deferred.filter(|old| self.counts(old));
        self.deferred = Some(match old {
            Some(old) if old.outcomes.generation > new.outcomes.generation => old,
            Some(old) if old.outcomes.generation == new.outcomes.generation => old.plus(new),
            _ => new,
        });
    }

    /// Keeps one success for the next check.
    pub(super) fn defer_success(&mut self, generation: Generation) {
        let outcomes = Outcomes {
            generation,
            good: 1,
            ..Outcomes::default()
        };
        let since = Moment::now(&self.clock);
        self.defer(Deferred { since, outcomes });
    }

    fn counts(&self, deferred: &Deferred) -> bool {
        Moment::now(&self.clock).since(deferred.since) < WINDOW
    }
}

impl Deferred {
    /// Both, as old as `self`.
    fn plus(self, new: Self) -> Self {
        let good = self.outcomes.good.saturating_add(new.outcomes.good);
        let outcomes = Outcomes {
            good,
            ..self.outcomes
        };
        Self { outcomes, ..self }
    }
}

impl Guard {
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
