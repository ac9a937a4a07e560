//! The cache of one kind of value.

use std::{error::Error, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Cache, CacheEntry, CachePolicy, LEASE_TTL,
    entry::{self, Dates, Found, StoredValue},
    leases::{Lease, LeaseOutcome},
    policy,
    reads::Reads,
};
use crate::{
    kv::{Delivery, Holding, Kv, Poll, Record},
    request::deadline,
    telemetry::{self, OrDegraded, metrics::CacheRead},
};

/// How long a missing row is cached.
const TOMBSTONE_TTL: Duration = Duration::from_mins(1);
/// How long a reader waits for the value that another one is loading, but not for more than a quarter
/// of its request's time: it may have to load the value after all.
const LOAD_WAIT: Duration = Duration::from_secs(1);
const SHARE_OF_REQUEST: u32 = 4;

/// A value that can be cached.
pub trait Cached: Sized {
    /// What is stored.
    fn encode(&self) -> Vec<u8>;

    /// What was stored; `None` if it is not readable, which counts as not cached.
    fn decode(stored: &[u8]) -> Option<Self>;
}

/// A row being loaded. Boxed, so that a cache hit does not pay for the size of the call's future.
pub type Loading<'a, T, E> = Pin<Box<dyn Future<Output = Result<Option<T>, E>> + Send + 'a>>;

/// Values of one kind, loaded when they are missing. Cheap to clone.
pub struct LoadingCache<T> {
    /// Behind a pointer, because each request has copies.
    kind: Arc<Kind>,
    values: PhantomData<fn() -> T>,
}

/// What the cache of one kind of value is made of.
struct Kind {
    cache: Cache,
    policy: CachePolicy,
    reads: Reads,
}

impl<T> Clone for LoadingCache<T> {
    fn clone(&self) -> Self {
        Self {
            kind: Arc::clone(&self.kind),
            values: PhantomData,
        }
    }
}

/// An entry, decoded.
enum Opened<T> {
    /// To be served; `None`: there is no such row.
    Fresh(Option<T>),
    Due(Due<T>),
    /// Nothing, or something unreadable.
    Missing(Option<Bytes>),
    /// Another reader is loading it.
    Leased,
    /// Only DynamoDB can say.
    Unavailable,
}

/// A value that can be served, and that one reader should replace.
struct Due<T> {
    value: T,
    record: Bytes,
    /// It has expired.
    is_stale: bool,
}

impl<T> Due<T> {
    fn read(&self) -> CacheRead {
        if self.is_stale {
            CacheRead::Stale
        } else {
            CacheRead::Hit
        }
    }
}

impl<T: Cached> LoadingCache<T> {
    /// Values that `cache` keeps as `policy` says.
    #[must_use]
    pub fn new(cache: Cache, policy: CachePolicy) -> Self {
        cache.owed.at_least(policy.longest() + LEASE_TTL);
        let reads = Reads::new(policy.name);
        Self {
            kind: Arc::new(Kind {
                cache,
                policy,
                reads,
            }),
            values: PhantomData,
        }
    }

    /// The store, for round trips that read other keys, too.
    #[must_use]
    pub fn store(&self) -> &Cache {
        &self.kind.cache
    }

    /// The value under `key`, which is loaded if it is not cached; `None` if there is no such row.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get<'a, E: Error>(
        &self,
        key: &str,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        let [known] = self.kind.cache.read([key]).await;
        self.complete(key, known, load).await
    }

    /// The same with what was found under `key`, in a round trip that read other keys, too.
    ///
    /// Of many readers that find nothing, one loads the value and stores it. The others wait for it,
    /// for a short time; then they load it for themselves.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn complete<'a, E: Error>(
        &self,
        key: &str,
        known: CacheEntry,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        match self.open(known) {
            Opened::Fresh(value) => {
                self.kind.reads.hit();
                Ok(value)
            }
            // Boxed, so that a hit does not pay for the size of what follows.
            opened => Box::pin(self.load_or_wait(key, opened, load)).await,
        }
    }

    /// Caches a value that will never change again (a revoked session).
    pub async fn store_final(&self, key: &str, value: &T) {
        let record = entry::value(None, &value.encode());
        self.kind
            .cache
            .store_final(key, &record, self.kind.policy.ttl)
            .await;
    }

    /// Removes `key` after its row was written.
    pub async fn invalidate(&self, key: &str) {
        self.kind.cache.invalidate(key).await;
    }

    fn open(&self, CacheEntry(found): CacheEntry) -> Opened<T> {
        match found {
            Found::Value(stored) => match T::decode(stored.encoded()) {
                Some(value) => self.judge(value, stored),
                None => Opened::Missing(Some(stored.record)),
            },
            Found::Unreadable(record) => Opened::Missing(Some(record)),
            Found::Tombstone => Opened::Fresh(None),
            Found::Leased => Opened::Leased,
            Found::Absent => Opened::Missing(None),
            Found::Unavailable => Opened::Unavailable,
        }
    }

    /// Whether a value is served as it is. That it is still there says that it may be: the store
    /// removes it by its own clock. This instance's clock only says when to replace it.
    fn judge(&self, value: T, stored: StoredValue) -> Opened<T> {
        let Some(dates) = stored.dates.filter(|_| self.kind.policy.is_dated()) else {
            return Opened::Fresh(Some(value));
        };
        let left = dates.left(self.kind.cache.clock.now());
        let is_due = policy::may_be_due(left, dates.load_time)
            && policy::is_due(left, dates.load_time, self.kind.cache.random.bytes());
        if !is_due {
            return Opened::Fresh(Some(value));
        }
        Opened::Due(Due {
            value,
            record: stored.record,
            is_stale: left <= 0 && !self.kind.policy.stale.is_zero(),
        })
    }

    async fn load_or_wait<'a, E: Error>(
        &self,
        key: &str,
        mut opened: Opened<T>,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        let wait = deadline::cap(LOAD_WAIT * SHARE_OF_REQUEST) / SHARE_OF_REQUEST;
        let mut poll = Poll::until(Instant::now() + wait);
        loop {
            match opened {
                Opened::Fresh(value) => {
                    self.kind.reads.other(CacheRead::Wait);
                    return Ok(value);
                }
                Opened::Due(due) => return self.renew(key, due, load).await,
                Opened::Unavailable => break,
                Opened::Leased => {}
                Opened::Missing(record) => {
                    match self.kind.cache.lease(key, record.as_deref()).await {
                        LeaseOutcome::Taken(lease) => return self.fill(lease, load).await,
                        LeaseOutcome::OfAnother => {}
                        LeaseOutcome::Unavailable => break,
                    }
                }
            }
            if !poll.wait().await {
                break;
            }
            let [known] = self.kind.cache.read([key]).await;
            opened = self.open(known);
        }
        self.kind.reads.other(CacheRead::Bypass);
        Ok(self.timed(load()).await?.0)
    }

    /// Loads a missing value, and stores it if the lease still exists then.
    async fn fill<'a, E: Error>(
        &self,
        lease: Lease,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        self.kind.reads.other(CacheRead::Miss);
        let (loaded, took) = self.timed(load()).await?;
        let (value, ttl) = self.record(loaded.as_ref(), took);
        lease.replace(&value, ttl).await;
        Ok(loaded)
    }

    /// Replaces a value that can still be served, if no other reader does. A removal in the meantime
    /// wins, as it does over a lease: the store keeps the new value only in place of the old one, and
    /// only for as long as a lease lasts.
    async fn renew<'a, E: Error>(
        &self,
        key: &str,
        due: Due<T>,
        load: impl FnOnce() -> Loading<'a, T, E>,
    ) -> Result<Option<T>, E> {
        let claim_key = format!("{key}:renewal");
        let holder = self.kind.cache.random.bytes::<16>();
        let Some(kv) = self.claim(&claim_key, &holder).await else {
            self.kind.reads.other(due.read());
            return Ok(Some(due.value));
        };
        let (loaded, took) = match self.timed(load()).await {
            Ok(loaded) => loaded,
            // The claim stays for its time, so that not every reader tries.
            Err(error) => {
                telemetry::degraded("cache renewal", &error);
                self.kind.reads.other(due.read());
                return Ok(Some(due.value));
            }
        };
        self.kind.reads.other(CacheRead::Renewal);
        let (value, ttl) = self.record(loaded.as_ref(), took);
        let claim = Holding {
            key: &claim_key,
            holder: &holder,
        };
        let record = Record {
            key,
            value: &value,
            ttl,
        };
        kv.replace_claimed(claim, &due.record, record, Delivery::BestEffort)
            .await
            .or_degraded("cache fill");
        Ok(loaded)
    }

    /// The right to renew a value; `None` when another reader has it or the store does not respond.
    async fn claim(&self, key: &str, holder: &[u8]) -> Option<&Kv> {
        let kv = self.kind.cache.kv.as_ref()?;
        let ttl = LEASE_TTL;
        let value = holder;
        let added = kv.add(Record { key, value, ttl }, Delivery::BestEffort);
        let acquired = added.await.or_degraded("cache lease")?;
        acquired.then_some(kv)
    }

    async fn timed<E>(&self, loading: Loading<'_, T, E>) -> Result<(Option<T>, Duration), E> {
        let start = Instant::now();
        let loaded = loading.await;
        let took = start.elapsed();
        self.kind.reads.loaded(took);
        Ok((loaded?, took))
    }

    /// What is stored, and for how long.
    fn record(&self, loaded: Option<&T>, took: Duration) -> (Vec<u8>, Duration) {
        let Some(value) = loaded else {
            return (entry::tombstone(), TOMBSTONE_TTL);
        };
        let ttl = self.kind.cache.jittered(self.kind.policy.ttl);
        let milliseconds = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let now = self.kind.cache.clock.now().as_millisecond();
        let dates = self.kind.policy.is_dated().then(|| Dates {
            expires_at: now.saturating_add(milliseconds),
            load_time: u32::try_from(took.as_millis()).unwrap_or(u32::MAX).max(1),
        });
        (
            entry::value(dates, &value.encode()),
            ttl + self.kind.policy.stale,
        )
    }
}
