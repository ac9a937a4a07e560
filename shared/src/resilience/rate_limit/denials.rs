//! Recent denials, remembered by this instance, so that a client that keeps sending requests does
//! not reach the store each time.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use super::{BucketState, Charge, Decision, Mode};
use crate::{
    clock::{Clock, Moment},
    kv::Step,
};

/// The most denials that are remembered; the least recently used one is evicted first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("above zero");

/// The last denials, by bucket. Bounded. One that ends too early, because a clock was set, costs a
/// round trip to the store; none ends too late.
pub struct Denials {
    clock: Clock,
    entries: Mutex<LruCache<String, (Moment, BucketState)>>,
}

impl Denials {
    /// Remembers no denials yet.
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

    /// The denials that the store would return now, where that is known without asking.
    ///
    /// A bucket that did not cover a cost can't cover it, or a higher one, before the time that it
    /// reported.
    #[must_use]
    pub fn recall(&self, charge: &Charge) -> Option<Decision> {
        self.recall_at(Moment::now(&self.clock), charge)
    }

    fn remember_at(&self, now: Moment, charge: &Charge, decision: &Decision) {
        let mut entries = self.lock();
        for (key, bucket) in charge.keys().iter().zip(&decision.buckets) {
            if bucket.cost.mode() == Mode::Enforced && !bucket.retry_after.is_zero() {
                entries.put(key.clone(), (now, *bucket));
            }
        }
    }

    fn recall_at(&self, now: Moment, charge: &Charge) -> Option<Decision> {
        let mut entries = self.lock();
        let mut buckets = Vec::new();
        for (key, cost) in charge.keys().iter().zip(charge.costs()) {
            let Some((then, bucket)) = entries.get(key) else {
                continue;
            };
            let bucket = bucket.after(now.since(*then));
            if bucket.retry_after.is_zero() {
                entries.pop(key);
            } else if cost.mode() == Mode::Enforced && cost.units() >= bucket.cost.units() {
                buckets.push(bucket);
            }
        }
        (!buckets.is_empty()).then_some(Decision { buckets })
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, (Moment, BucketState)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
