//! Cache-aside over [`Kv`]: rows read from DynamoDB, kept for a while.
//!
//! A reader that finds nothing takes a *lease* on the key before it reads DynamoDB, and may store
//! the row only while its lease still exists. A writer removes or overwrites the key after its
//! write, and the lease with it, so a slow reader can't store an outdated value, not even when the
//! store is flushed in between (Nishtala et al., "Scaling Memcache at Facebook", §3.2.1). Where no
//! row exists a *tombstone* is stored, so that requests for invented ids don't reach DynamoDB every
//! time.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;

use crate::{
    kv::{Delivery, Kv, Record, Step},
    random::Random,
    telemetry::OrDegraded,
};

const VALUE: u8 = b'v';
const TOMBSTONE: u8 = b't';
const LEASE: u8 = b'l';

/// How long a missing row is cached.
const TOMBSTONE_TTL: Duration = Duration::from_mins(1);
/// Longer than any request takes.
const LEASE_TTL: Duration = Duration::from_secs(10);

/// The cached state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheEntry {
    /// The value.
    Value(Bytes),
    /// DynamoDB had no such row a short while ago.
    Tombstone,
    /// Nothing is cached.
    Absent,
    /// The store does not respond, or there is no store: don't ask it again in this request.
    Unavailable,
}

/// A row being loaded. Boxed, so that a cache hit does not pay for the size of the SDK's future.
pub type Loading<'a, E> = Pin<Box<dyn Future<Output = Result<Option<Vec<u8>>, E>> + Send + 'a>>;

/// A read-through view of DynamoDB rows. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    kv: Option<Kv>,
    random: Random,
}

impl Cache {
    /// A cache in `kv`, which all instances have to share: what one of them revokes must not stay
    /// cached in another.
    #[must_use]
    pub fn new(kv: Kv, random: Random) -> Self {
        Self {
            kv: Some(kv),
            random,
        }
    }

    /// No cache: every read goes to DynamoDB. For instances that share no store.
    #[must_use]
    pub fn none(random: Random) -> Self {
        Self { kv: None, random }
    }

    /// The cached entries of `keys`, in one round trip. Never fails: while the store is down, every
    /// entry is [`CacheEntry::Unavailable`].
    pub async fn read<const N: usize>(&self, keys: [&str; N]) -> [CacheEntry; N] {
        self.read_and_step(&[], keys).await.1
    }

    /// The same, and runs `steps` in the same round trip. A step without a reply did not run on
    /// shared state: its caller has to decide by local state.
    pub async fn read_and_step<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> (Vec<Option<Vec<i64>>>, [CacheEntry; N]) {
        let nothing = || {
            (
                vec![None; steps.len()],
                [const { CacheEntry::Unavailable }; N],
            )
        };
        let Some(kv) = &self.kv else { return nothing() };
        if steps.is_empty() && N == 0 {
            return nothing();
        }
        let Some(replies) = kv
            .ask(steps, keys, Delivery::BestEffort)
            .await
            .or_degraded("shared state")
        else {
            return nothing();
        };
        let steps = replies.steps.into_iter();
        (
            steps
                .map(|reply| reply.or_degraded("shared state"))
                .collect(),
            replies.values.map(entry),
        )
    }

    /// The value of `known`; on a miss, loads it and caches it for `ttl` (less up to a tenth, so
    /// that entries stored together don't expire together).
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn fill<'a, E>(
        &self,
        key: &str,
        known: CacheEntry,
        ttl: Duration,
        load: impl FnOnce() -> Loading<'a, E>,
    ) -> Result<Option<Bytes>, E> {
        let lease = match known {
            CacheEntry::Value(value) => return Ok(Some(value)),
            CacheEntry::Tombstone => return Ok(None),
            CacheEntry::Absent => self.lease(key).await,
            CacheEntry::Unavailable => None,
        };
        let loaded = load().await?;
        if let (Some(lease), Some(kv)) = (lease, &self.kv) {
            let (tag, ttl) = if loaded.is_some() {
                (VALUE, self.jittered(ttl))
            } else {
                (TOMBSTONE, TOMBSTONE_TTL)
            };
            let value = &tagged(tag, loaded.as_deref().unwrap_or_default());
            let record = Record { key, value, ttl };
            kv.replace(&lease, record, Delivery::BestEffort)
                .await
                .or_degraded("cache fill");
        }
        Ok(loaded.map(Bytes::from))
    }

    /// Caches a value that will never change again (a revoked session).
    pub async fn store_final(&self, key: &str, value: &[u8], ttl: Duration) {
        let Some(kv) = &self.kv else { return };
        let value = &tagged(VALUE, value);
        kv.put(Record { key, value, ttl }, Delivery::Required)
            .await
            .or_degraded("cache final value");
    }

    /// Removes `key` after its row was written, and with it the lease of a reader that is loading
    /// it.
    pub async fn invalidate(&self, key: &str) {
        let Some(kv) = &self.kv else { return };
        kv.delete(key, Delivery::Required)
            .await
            .or_degraded("cache invalidation");
    }

    /// The right to fill `key`; `None` when another reader has it or the store does not respond.
    async fn lease(&self, key: &str) -> Option<Vec<u8>> {
        let kv = self.kv.as_ref()?;
        let lease = tagged(LEASE, &self.random.bytes::<16>());
        let record = Record {
            key,
            value: &lease,
            ttl: LEASE_TTL,
        };
        let acquired = kv
            .add(record, Delivery::BestEffort)
            .await
            .or_degraded("cache lease")?;
        acquired.then_some(lease)
    }

    fn jittered(&self, ttl: Duration) -> Duration {
        let [byte] = self.random.bytes::<1>();
        ttl.mul_f64(1.0 - f64::from(byte) / 2560.0)
    }
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 1);
    bytes.push(tag);
    bytes.extend_from_slice(value);
    bytes
}

/// A lease, and anything written by another version of this code, counts as absent.
fn entry(value: Option<Bytes>) -> CacheEntry {
    match value {
        Some(value) if value.first() == Some(&VALUE) => CacheEntry::Value(value.slice(1..)),
        Some(value) if value.first() == Some(&TOMBSTONE) => CacheEntry::Tombstone,
        _ => CacheEntry::Absent,
    }
}

#[cfg(test)]
mod tests;
