//! What this instance remembers of denials, so that a client that hammers does not reach the store
//! each time.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use super::{Charge, Decision, Mode, Verdict};
use crate::{
    clock::{Clock, Moment},
    kv::Step,
};

/// Denials remembered at the most; the one not met for longest leaves first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("above zero");

/// The last denials, by bucket. Bounded. One that ends too early, because a clock was set, costs a
/// question to the store; none ends too late.
pub struct Denials {
    clock: Clock,
    entries: Mutex<LruCache<String, (Moment, Verdict)>>,
}

impl Denials {
    /// Nothing remembered.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Mutex::new(LruCache::sparse(CAPACITY)),
        }
    }

    /// Remembers what `decision` denied of `charge`.
    pub fn remember(&self, charge: &Charge, decision: &Decision) {
        if !decision.is_admitted() {
            self.remember_at(Moment::now(&self.clock), charge, decision);
        }
    }

    /// The denials that the store would give now, where that is known without asking.
    ///
    /// A bucket that could not pay can't pay sooner than it said, nor can it pay more.
    #[must_use]
    pub fn recall(&self, charge: &Charge) -> Option<Decision> {
        self.recall_at(Moment::now(&self.clock), charge)
    }

    fn remember_at(&self, now: Moment, charge: &Charge, decision: &Decision) {
        let mut entries = self.lock();
        for (key, verdict) in charge.keys().iter().zip(&decision.verdicts) {
            if verdict.price.mode() == Mode::Enforced && !verdict.retry_after.is_zero() {
                entries.put(key.clone(), (now, *verdict));
            }
        }
    }

    fn recall_at(&self, now: Moment, charge: &Charge) -> Option<Decision> {
        let mut entries = self.lock();
        let mut verdicts = Vec::new();
        for (key, price) in charge.keys().iter().zip(charge.prices()) {
            let Some((then, verdict)) = entries.get(key) else {
                continue;
            };
            let verdict = verdict.after(now.since(*then));
            if verdict.retry_after.is_zero() {
                entries.pop(key);
            } else if price.mode() == Mode::Enforced && price.cost() >= verdict.price.cost() {
                verdicts.push(verdict);
            }
        }
        (!verdicts.is_empty()).then_some(Decision { verdicts })
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, (Moment, Verdict)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
