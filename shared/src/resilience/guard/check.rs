//! A question to the shared breaker that takes the successes since the last one along.

use bytes::Bytes;

use super::{
    super::breaker::{Breaker, BreakerStep},
    Guard,
    memory::Deferred,
};
use crate::kv::{Applied, Micros, Script, Step};

/// A check that is being sent, with successes. Until its reply shows that it ran, they are not
/// counted: dropped without [`Guard::record_reply`] and a reply, it returns them to the guard, for
/// the next check.
///
/// A step that ran and whose reply was lost is thus counted twice. That delays the opening of the
/// breaker a little; a success that was never counted would open it below its threshold.
#[must_use = "its step has to be sent"]
pub struct GuardCheck<'a> {
    guard: &'a Guard,
    step: BreakerStep,
    carried: Option<Deferred>,
}

impl<'a> GuardCheck<'a> {
    pub(super) fn new(guard: &'a Guard, breaker: &Breaker) -> Self {
        let carried = guard.memory().take_deferred();
        let outcomes = carried
            .map(|deferred| deferred.outcomes)
            .unwrap_or_default();
        Self {
            guard,
            step: breaker.check(outcomes),
            carried,
        }
    }

    pub(super) fn step(&self) -> &BreakerStep {
        &self.step
    }

    /// The step ran: its successes are counted.
    pub(super) fn confirm(mut self) {
        self.carried = None;
    }
}

impl Drop for GuardCheck<'_> {
    fn drop(&mut self) {
        if let Some(carried) = self.carried.take() {
            self.guard.memory().defer(carried);
        }
    }
}

impl Step for GuardCheck<'_> {
    fn script(&self) -> &'static Script {
        self.step.script()
    }

    fn keys(&self) -> &[String] {
        self.step.keys()
    }

    fn arguments(&self) -> Vec<i64> {
        self.step.arguments()
    }

    fn apply(&self, now: Micros, values: &[Option<Bytes>]) -> Applied {
        self.step.apply(now, values)
    }
}
