//! The store in this process's memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;

use super::{Holding, Record, Replies, RoundTrip, Step, Write};
use crate::clock::Clock;

/// The most records that are kept; the least recently used one is evicted first.
const CAPACITY: usize = 65_536;
/// The most records that are removed, because they have expired, when one is stored.
const REMOVALS: usize = 2;

/// A value and its expiry, in milliseconds since the epoch.
type Stored = (Bytes, i64);

/// Bounded, and shared by its clones.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Clock,
    entries: Arc<Mutex<LruCache<String, Stored>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Arc::new(Mutex::new(LruCache::unbounded())),
        }
    }

    pub(super) fn ask<const N: usize>(&self, asked: &RoundTrip<'_, N>) -> Replies<N> {
        let removals = asked.removals.iter().map(|key| {
            self.delete(key);
            Ok(())
        });
        let removals = removals.collect();
        let steps = asked.steps.iter().map(|step| Ok(self.step(*step)));
        Replies {
            removals,
            steps: steps.collect(),
            values: self.get(asked.keys).map(Ok),
        }
    }

    /// The values of `keys`.
    #[must_use]
    pub fn get<const N: usize>(&self, keys: [&str; N]) -> [Option<Bytes>; N] {
        let (mut entries, now) = self.lock();
        keys.map(|key| unexpired(&mut entries, key, now))
    }

    /// Stores the record, replacing any value.
    pub fn put(&self, record: &Record<'_>) {
        let (mut entries, now) = self.lock();
        store(&mut entries, record, now);
    }

    /// Stores the record if the key has no value; returns whether the key holds the record now.
    #[must_use]
    pub fn add(&self, record: &Record<'_>) -> bool {
        let (mut entries, now) = self.lock();
        if let Some(value) = unexpired(&mut entries, record.key, now) {
            return value == record.value;
        }
        store(&mut entries, record, now);
        true
    }

    /// Stores the record if the key's value is exactly `expected`; returns whether it did.
    #[must_use]
    pub fn replace(&self, expected: &[u8], record: &Record<'_>) -> bool {
        let (mut entries, now) = self.lock();
        let matches =
            unexpired(&mut entries, record.key, now).is_some_and(|value| value == expected);
        if matches {
            store(&mut entries, record, now);
        }
        matches
    }

    /// Stores the record if the key's value is exactly `expected` and the claim still has its holder,
    /// and gives the claim up then; returns whether it did.
    #[must_use]
    pub fn replace_claimed(
        &self,
        claim: Holding<'_>,
        expected: &[u8],
        record: &Record<'_>,
    ) -> bool {
        let (mut entries, now) = self.lock();
        let mut holds = |key: &str, wanted: &[u8]| {
            unexpired(&mut entries, key, now).is_some_and(|value| value == wanted)
        };
        let matches = holds(claim.key, claim.holder) && holds(record.key, expected);
        if matches {
            store(&mut entries, record, now);
            entries.pop(claim.key);
        }
        matches
    }

    /// Runs a step atomically.
    #[must_use]
    pub fn step(&self, step: &dyn Step) -> Vec<i64> {
        let (mut entries, now) = self.lock();
        let keys = step.keys();
        let values: Vec<_> = keys
            .iter()
            .map(|key| unexpired(&mut entries, key, now))
            .collect();
        let applied = step.apply(now * 1000, &values);
        for (key, write) in keys.iter().zip(applied.writes) {
            match write {
                Write::Keep => {}
                Write::Put(value, ttl) => store(
                    &mut entries,
                    &Record {
                        key,
                        value: &value,
                        ttl,
                    },
                    now,
                ),
                Write::Delete => drop(entries.pop(key)),
            }
        }
        applied.reply
    }

    /// Removes `key`.
    pub fn delete(&self, key: &str) {
        self.lock().0.pop(key);
    }

    /// Removes `key` if its value is exactly `expected`.
    pub fn remove(&self, key: &str, expected: &[u8]) {
        let (mut entries, now) = self.lock();
        if unexpired(&mut entries, key, now).is_some_and(|value| value == expected) {
            entries.pop(key);
        }
    }

    fn lock(&self) -> (MutexGuard<'_, LruCache<String, Stored>>, i64) {
        (
            self.entries.lock().unwrap_or_else(PoisonError::into_inner),
            self.clock.now().as_millisecond(),
        )
    }
}

fn unexpired(entries: &mut LruCache<String, Stored>, key: &str, now: i64) -> Option<Bytes> {
    entries
        .get(key)
        .filter(|(_, expires_at)| *expires_at > now)
        .map(|(value, _)| value.clone())
}

fn store(entries: &mut LruCache<String, Stored>, record: &Record<'_>, now: i64) {
    let ttl = i64::try_from(record.ttl.as_millis()).unwrap_or(i64::MAX);
    entries.put(
        record.key.to_owned(),
        (
            Bytes::copy_from_slice(record.value),
            now.saturating_add(ttl),
        ),
    );
    // Bounded here, because a bounded `LruCache` allocates its whole capacity at once.
    if entries.len() > CAPACITY {
        entries.pop_lru();
    }
    // More than one is stored at a time, so what has expired becomes less.
    for _ in 0..REMOVALS {
        match entries.peek_lru() {
            Some((_, (_, expires_at))) if *expires_at <= now => entries.pop_lru(),
            _ => break,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn what_has_expired_is_removed_as_more_is_stored() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let store = MemoryStore::new(Clock::Manual(manual.clone()));
        let put = |number: usize| {
            store.put(&Record {
                key: &number.to_string(),
                value: b"x",
                ttl: Duration::from_secs(10),
            });
        };
        (0..100).for_each(put);
        assert_eq!(store.lock().0.len(), 100);
        manual.advance_seconds(10);
        (100..150).for_each(put);
        assert_eq!(store.lock().0.len(), 50);
    }
}
