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
/// Successes older than the breaker's window no longer count.
const WINDOW: Duration = Duration::from_secs(10);

pub(super) struct Memory {
    clock: Clock,
    reply: Option<(Moment, BreakerReply)>,
    /// Successes to be sent along with the next check, and the time of the first one.
    deferred: Option<(Moment, Outcomes)>,
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

    /// How long the shared breaker refuses calls from now on, when that is known without asking.
    pub(super) fn cached_refusal(&self) -> Option<Duration> {
        let (then, reply) = self.reply?;
        let elapsed = Moment::now(&self.clock).since(then);
        let wait = match reply.status {
            BreakerStatus::Open { retry_after } => retry_after,
            // The probe may end at any moment.
            BreakerStatus::HalfOpen(Probe::Taken(wait)) => wait.min(FRESH),
            _ => return None,
        };
        wait.checked_sub(elapsed).filter(|left| !left.is_zero())
    }

    /// Successes that were not reported yet. They are not worth a call of their own: they are
    /// reported now, or lost.
    pub(super) fn take_deferred(&mut self) -> Outcomes {
        let now = Moment::now(&self.clock);
        let deferred = self.deferred.take();
        deferred
            .filter(|(since, _)| now.since(*since) < WINDOW)
            .map(|(_, outcomes)| outcomes)
            .unwrap_or_default()
    }

    /// Keeps one success for the next check.
    pub(super) fn defer_success(&mut self, generation: Generation) {
        let now = Moment::now(&self.clock);
        let none = Outcomes {
            generation,
            ..Outcomes::default()
        };
        let deferred = self.deferred.filter(|(since, outcomes)| {
            outcomes.generation == generation && now.since(*since) < WINDOW
        });
        let (since, outcomes) = deferred.unwrap_or((now, none));
        let good = outcomes.good.saturating_add(1);
        self.deferred = Some((since, Outcomes { good, ..outcomes }));
    }
}

impl Guard {
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
