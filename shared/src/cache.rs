//! The cache of anything with a loader, over [`Kv`]: rows read from DynamoDB, kept for a while.
//!
//! A reader that finds nothing takes a *lease* on the key before it reads DynamoDB, and may store
//! the row only while its lease still exists. A writer removes or overwrites the key after its
//! write, and the lease with it, so a slow reader can't store an outdated value, not even when the
//! store is flushed in between (Nishtala et al., "Scaling Memcache at Facebook", §3.2.1). Other
//! readers that find the lease wait for the value, so that one of them loads it, whichever instances
//! they are in. Where no row exists a *tombstone* is stored, so that requests for invented ids don't
//! reach DynamoDB every time.
//!
//! Values of some kinds are replaced by one of their readers shortly before they expire, or served
//! for a while after that ([`CachePolicy`]). All of this happens in requests that are waited for:
//! Lambda freezes an instance between them.
//!
//! A key that can't be removed, because the store is away or refuses writes, is remembered by the
//! instance: it removes the key before it believes the store again. Values are believed only while
//! the store accepts writes, because one that refuses them may hold what another instance could not
//! remove.

mod entry;
mod leases;
mod loading;
mod owed;
mod policy;
mod reads;

use std::time::Duration;

use tokio::time::sleep;

use self::owed::{OwedRemovals, RemovalInProgress};
pub use self::{
    entry::CacheEntry,
    loading::{Cached, Loading, LoadingCache},
    policy::CachePolicy,
};
use crate::{
    clock::Clock,
    kv::{Delivery, Kv, KvError, Record, Replies, RoundTrip, Step},
    random::Random,
    request,
    telemetry::{self, OrDegraded},
};

/// The name of shared state in `degraded` log lines.
const WHAT: &str = "shared state";

/// The pauses before a failed removal is repeated. They cover a hiccup; on Lambda the answer waits
/// for them, and after that the next request that reads repeats the removal.
const REPEAT_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];
/// How long a reader has to load a value: longer than any request takes. Until then an outdated one can
/// be stored.
pub const LEASE_TTL: Duration = Duration::from_secs(10);

/// The store of cached values, of all kinds. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    kv: Option<Kv>,
    clock: Clock,
    random: Random,
    owed: OwedRemovals,
}

impl Cache {
    /// A cache in `kv`, which all instances have to share: what one of them revokes must not stay
    /// cached in another. Values live no longer than `longest_ttl`, or than the policy of a
    /// [`LoadingCache`] says that this instance uses. Keep one per instance, and clone it: it
    /// remembers what it could not remove.
    #[must_use]
    pub fn new(kv: Kv, clock: Clock, random: Random, longest_ttl: Duration) -> Self {
        Self {
            kv: Some(kv),
            clock,
            random,
            // A reader that holds a lease may store an outdated value until the lease ends.
            owed: OwedRemovals::new(longest_ttl + LEASE_TTL),
        }
    }

    /// No cache: every read goes to DynamoDB. For instances that share no store.
    #[must_use]
    pub fn none(clock: Clock, random: Random) -> Self {
        Self {
            kv: None,
            clock,
            random,
            owed: OwedRemovals::new(Duration::ZERO),
        }
    }

    /// The cached entries of `keys`, in one round trip. Never fails: while the store is down, every
    /// entry says so.
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
                [const { CacheEntry::UNAVAILABLE }; N],
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
                Some(value) if !self.owed.distrusts(key) => CacheEntry::read(value),
                _ => CacheEntry::UNAVAILABLE,
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

    /// Stores a record that will never change again.
    async fn store_final(&self, key: &str, value: &[u8], ttl: Duration) {
        let Some(kv) = &self.kv else { return };
        let removal = self.owed.begin(key);
        let put = kv.put(Record { key, value, ttl }, Delivery::Required);
        let outcome = match put.await {
            // A server that is out of memory still removes.
            Err(KvError::Refused(_)) => kv.delete(key, Delivery::Required).await,
            outcome => outcome,
        };
        self.end_removal(removal, key, outcome);
    }

    /// Puts a lease that nobody has in place of the value of `key`, before its row is written: until the
    /// lease expires or the key is removed, every reader reads DynamoDB. For a write that must be seen
    /// also if this process ends between the write and the removal.
    pub async fn hold_back(&self, key: &str) {
        let Some(kv) = &self.kv else { return };
        let value = &entry::lease(self.random.bytes());
        let ttl = LEASE_TTL;
        kv.put(Record { key, value, ttl }, Delivery::Required)
            .await
            .or_degraded("cache lease");
    }

    /// Removes `key` after its row was written, and with it the lease of a reader that is loading
    /// it. If that fails, this instance repeats it before it believes the store again.
    pub async fn invalidate(&self, key: &str) {
        self.invalidate_all(&[key]).await;
    }

    /// The same for many keys, in one round trip.
    pub async fn invalidate_all(&self, keys: &[&str]) {
        let Some(kv) = &self.kv else { return };
        let removals: Vec<_> = keys.iter().map(|key| self.owed.begin(key)).collect();
        let outcomes = kv.delete_all(keys, Delivery::Required).await;
        for ((removal, key), outcome) in removals.into_iter().zip(keys).zip(outcomes) {
            self.end_removal(removal, key, outcome);
        }
    }

    /// Removes `key` for a caller that comes again if that fails. Without a store there is nothing to
    /// remove.
    ///
    /// # Errors
    /// The store's; then the key is owed as after [`Self::invalidate`].
    pub async fn remove(&self, key: &str) -> Result<(), KvError> {
        let Some(kv) = &self.kv else { return Ok(()) };
        let removal = self.owed.begin(key);
        kv.delete(key, Delivery::Required).await?;
        removal.made();
        Ok(())
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

    fn jittered(&self, ttl: Duration) -> Duration {
        let [byte] = self.random.bytes::<1>();
        ttl.mul_f64(1.0 - f64::from(byte) / 2560.0)
    }
}

#[cfg(test)]
mod tests;
