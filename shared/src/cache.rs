//! Cache-aside over [`Kv`]: rows read from DynamoDB, kept for a while.
//!
//! A reader that finds nothing takes a *lease* on the key before it reads DynamoDB, and may store
//! the row only while its lease still exists. A writer removes or overwrites the key after its
//! write, and the lease with it, so a slow reader can't store an outdated value, not even when the
//! store is flushed in between (Nishtala et al., "Scaling Memcache at Facebook", §3.2.1). Where no
//! row exists a *tombstone* is stored, so that requests for invented ids don't reach DynamoDB every
//! time.
//!
//! A key that can't be removed, because the store is away or refuses writes, is remembered by the
//! instance: it removes the key before it believes the store again. Values are believed only while
//! the store accepts writes, because one that refuses them may hold what another instance could not
//! remove.

mod owed;

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;

use self::owed::{OwedRemovals, RemovalInProgress};
use crate::{
    kv::{Delivery, Kv, KvError, Record, Replies, RoundTrip, Step},
    random::Random,
    request,
    telemetry::{self, OrDegraded},
};

/// The name of shared state in `degraded` log lines.
const WHAT: &str = "shared state";

const VALUE: u8 = b'v';
const TOMBSTONE: u8 = b't';
const LEASE: u8 = b'l';

/// How long a missing row is cached.
const TOMBSTONE_TTL: Duration = Duration::from_mins(1);
/// The pauses before a failed removal is repeated. They cover a hiccup; on Lambda the answer waits
/// for them, and after that the next request that reads repeats the removal.
const REPEAT_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// Longer than any request takes.
const LEASE_TTL: Duration = Duration::from_secs(10);

/// The cached state of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheEntry {
    /// The value, encoded.
    Value(Bytes),
    /// Something that this version of the code did not store.
    Unreadable(Bytes),
    /// DynamoDB had no such row a short while ago.
    Tombstone,
    /// Nothing is cached.
    Absent,
    /// The store does not respond, or there is no store: don't ask it again in this request.
    Unavailable,
}

/// A value that can be cached.
pub trait Cached: Sized {
    /// What is stored.
    fn encode(&self) -> Vec<u8>;

    /// What was stored; `None` if it is not readable, which counts as not cached.
    fn decode(stored: &[u8]) -> Option<Self>;
}

/// A row being loaded. Boxed, so that a cache hit does not pay for the size of the SDK's future.
pub type Loading<'a, T, E> = Pin<Box<dyn Future<Output = Result<Option<T>, E>> + Send + 'a>>;

/// A read-through view of DynamoDB rows. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    kv: Option<Kv>,
    random: Random,
    owed: OwedRemovals,
}

impl Cache {
    /// A cache in `kv`, which all instances have to share: what one of them revokes must not stay
    /// cached in another. No value is cached for longer than `longest_ttl`. Keep one per instance,
    /// and clone it: it remembers what it could not remove.
    #[must_use]
    pub fn new(kv: Kv, random: Random, longest_ttl: Duration) -> Self {
        Self {
            kv: Some(kv),
            random,
            // A reader that holds a lease may store an outdated value until the lease ends.
            owed: OwedRemovals::new(longest_ttl + LEASE_TTL),
        }
    }

    /// No cache: every read goes to DynamoDB. For instances that share no store.
    #[must_use]
    pub fn none(random: Random) -> Self {
        Self {
            kv: None,
            random,
            owed: OwedRemovals::new(Duration::ZERO),
        }
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
        let Some(replies) = self.ask(kv, steps, keys).await.or_degraded(WHAT) else {
            return nothing();
        };
        let steps = replies.steps.into_iter();
        let mut values = replies.values.into_iter();
        let entries = keys.map(|key| {
            let value = values.next().and_then(|value| value.or_degraded(WHAT));
            match value {
                Some(value) if !self.owed.distrusts(key) => entry(value),
                _ => CacheEntry::Unavailable,
            }
        });
        (
            steps.map(|reply| reply.or_degraded(WHAT)).collect(),
            entries,
        )
    }

    /// One round trip, with the removals that are still owed before the reads.
    async fn ask<const N: usize>(
        &self,
        kv: &Kv,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> Result<Replies<N>, KvError> {
        let due = self.owed.due();
        let removals: Vec<_> = due.iter().map(|removal| removal.key.as_str()).collect();
        let removals = &removals;
        let asked = RoundTrip {
            removals,
            steps,
            keys,
        };
        let replies = kv.ask_while_writable(&asked).await?;
        for (removal, outcome) in due.iter().zip(&replies.removals) {
            if outcome.is_ok() {
                self.owed.made(removal);
            }
        }
        Ok(replies)
    }

    /// The value of `known`; on a miss, loads it and caches it for `ttl` (less up to a tenth, so
    /// that entries stored together don't expire together).
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn fill<'a, T: Cached, E>(
        &self,
        key: &str,
        known: CacheEntry,
        ttl: Duration,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        let lease = match known {
            CacheEntry::Value(value) => match T::decode(&value) {
                Some(value) => return Ok(Some(value)),
                None => self.lease_instead_of(key, &tagged(VALUE, &value)).await,
            },
            CacheEntry::Unreadable(stored) => self.lease_instead_of(key, &stored).await,
            CacheEntry::Tombstone => return Ok(None),
            CacheEntry::Absent => self.lease(key).await,
            CacheEntry::Unavailable => None,
        };
        let loaded = load().await?;
        if let (Some(lease), Some(kv)) = (lease, &self.kv) {
            let (value, ttl) = match &loaded {
                Some(loaded) => (tagged(VALUE, &loaded.encode()), self.jittered(ttl)),
                None => (tagged(TOMBSTONE, &[]), TOMBSTONE_TTL),
            };
            let value = &value;
            let record = Record { key, value, ttl };
            kv.replace(&lease, record, Delivery::BestEffort)
                .await
                .or_degraded("cache fill");
        }
        Ok(loaded)
    }

    /// Caches a value that will never change again (a revoked session).
    pub async fn store_final(&self, key: &str, value: &impl Cached, ttl: Duration) {
        let Some(kv) = &self.kv else { return };
        let removal = self.owed.begin(key);
        let value = &tagged(VALUE, &value.encode());
        let put = kv.put(Record { key, value, ttl }, Delivery::Required);
        let outcome = match put.await {
            // A server that is out of memory still removes.
            Err(KvError::Refused(_)) => kv.delete(key, Delivery::Required).await,
            outcome => outcome,
        };
        self.end_removal(removal, key, outcome);
    }

    /// Removes `key` after its row was written, and with it the lease of a reader that is loading
    /// it. If that fails, this instance repeats it before it believes the store again.
    pub async fn invalidate(&self, key: &str) {
        let Some(kv) = &self.kv else { return };
        let removal = self.owed.begin(key);
        let outcome = kv.delete(key, Delivery::Required).await;
        self.end_removal(removal, key, outcome);
    }

    fn end_removal(&self, removal: RemovalInProgress<'_>, key: &str, outcome: Result<(), KvError>) {
        let Err(error) = outcome else {
            return removal.made();
        };
        drop(removal);
        let request_id = request::id();
        tracing::error!(request_id, %error, "a cached value could not be removed; other instances may use it until it expires");
        telemetry::degraded("cache invalidation", &error);
        let (cache, key) = (self.clone(), key.to_owned());
        drop(request::start(
            async move { cache.repeat_removal(&key).await },
        ));
    }

    /// Removes a key that is owed, if that succeeds soon.
    async fn repeat_removal(&self, key: &str) {
        let Some(kv) = &self.kv else { return };
        for pause in REPEAT_AFTER {
            sleep(pause).await;
            let Some(removal) = self.owed.of(key) else {
                return;
            };
            if kv.delete(key, Delivery::Required).await.is_ok() {
                return self.owed.made(&removal);
            }
        }
    }

    /// The right to fill `key`; `None` when another reader has it or the store does not respond.
    async fn lease(&self, key: &str) -> Option<Vec<u8>> {
        let (kv, lease) = (self.kv.as_ref()?, self.new_lease());
        let added = kv.add(lease_record(key, &lease), Delivery::BestEffort);
        let acquired = added.await.or_degraded("cache lease")?;
        acquired.then_some(lease)
    }

    /// The same where `stored` is known to be of no use.
    async fn lease_instead_of(&self, key: &str, stored: &[u8]) -> Option<Vec<u8>> {
        let (kv, lease) = (self.kv.as_ref()?, self.new_lease());
        let record = lease_record(key, &lease);
        let replaced = kv.replace(stored, record, Delivery::BestEffort).await;
        let acquired = replaced.or_degraded("cache lease")?;
        acquired.then_some(lease)
    }

    fn new_lease(&self) -> Vec<u8> {
        tagged(LEASE, &self.random.bytes::<16>())
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

fn lease_record<'a>(key: &'a str, lease: &'a [u8]) -> Record<'a> {
    Record {
        key,
        value: lease,
        ttl: LEASE_TTL,
    }
}

/// What a stored value says. A lease counts as absent.
fn entry(stored: Option<Bytes>) -> CacheEntry {
    let Some(stored) = stored else {
        return CacheEntry::Absent;
    };
    match stored.first() {
        Some(&VALUE) => CacheEntry::Value(stored.slice(1..)),
        Some(&TOMBSTONE) => CacheEntry::Tombstone,
        Some(&LEASE) => CacheEntry::Absent,
        _ => CacheEntry::Unreadable(stored),
    }
}

#[cfg(test)]
mod tests;
