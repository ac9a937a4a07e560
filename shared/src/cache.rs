//! Cache-aside over [`Kv`]: what DynamoDB said, remembered for a while.
//!
//! A reader that finds nothing takes a *lease* on the key before it asks DynamoDB, and may store
//! the answer only while its lease is still there. A writer removes or overwrites the key after its
//! write, and the lease with it, so a slow reader can't put back an old value, not even when
//! everything is flushed in between (Nishtala et al., "Scaling Memcache at Facebook", §3.2.1).
//! Where no row exists a *tombstone* is stored, so that ids made up by a client don't reach
//! DynamoDB again and again.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;

use crate::{
    kv::{Kv, KvError, Record, Step},
    random::Random,
    telemetry,
};

const VALUE: u8 = b'v';
const TOMBSTONE: u8 = b't';
const LEASE: u8 = b'l';

/// How long a "no such row" is believed.
const TOMBSTONE_LIFE: Duration = Duration::from_mins(1);
/// Longer than any reader works on one request.
const LEASE_LIFE: Duration = Duration::from_secs(10);

/// What the cache knows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The value.
    Value(Bytes),
    /// DynamoDB said a short while ago that there is none.
    Tombstone,
    /// Nothing.
    Absent,
    /// The store does not answer, or there is none: don't ask it again in this request.
    Unavailable,
}

/// A row on its way. Boxed, because a hit must not carry the room that the SDK's call would need.
pub type Loading<'a, E> = Pin<Box<dyn Future<Output = Result<Option<Vec<u8>>, E>> + Send + 'a>>;

/// A read-through view of DynamoDB rows. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    kv: Option<Kv>,
    random: Random,
}

impl Cache {
    /// A cache in `kv`, which all instances have to share: what one of them revokes, no other may
    /// remember.
    #[must_use]
    pub fn new(kv: Kv, random: Random) -> Self {
        Self {
            kv: Some(kv),
            random,
        }
    }

    /// No cache: DynamoDB is asked each time. For instances that share nothing else.
    #[must_use]
    pub fn none(random: Random) -> Self {
        Self { kv: None, random }
    }

    /// What is known of `keys`, in one round trip. Never fails: a store that is down knows nothing.
    pub async fn read<const N: usize>(&self, keys: [&str; N]) -> [Entry; N] {
        self.read_and_step(&[], keys).await.1
    }

    /// The same, and `steps` taken on the way. A step without a reply was not taken where others
    /// could know of it: its caller has to decide alone.
    pub async fn read_and_step<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> (Vec<Option<Vec<i64>>>, [Entry; N]) {
        let nothing = || (vec![None; steps.len()], [const { Entry::Unavailable }; N]);
        let Some(kv) = &self.kv else { return nothing() };
        if steps.is_empty() && N == 0 {
            return nothing();
        }
        match kv.ask(steps, keys).await {
            Ok(answers) => (
                answers.replies.into_iter().map(reply).collect(),
                answers.values.map(entry),
            ),
            Err(error) => {
                telemetry::degraded("shared state", &error);
                nothing()
            }
        }
    }

    /// Loads what `known` does not tell, and remembers it for `life` (less up to a tenth, so that
    /// what was stored together does not expire together).
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn fill<'a, E>(
        &self,
        key: &str,
        known: Entry,
        life: Duration,
        load: impl FnOnce() -> Loading<'a, E>,
    ) -> Result<Option<Bytes>, E> {
        let lease = match known {
            Entry::Value(value) => return Ok(Some(value)),
            Entry::Tombstone => return Ok(None),
            Entry::Absent => self.lease(key).await,
            Entry::Unavailable => None,
        };
        let loaded = load().await?;
        if let (Some(lease), Some(kv)) = (lease, &self.kv) {
            let (tag, life) = if loaded.is_some() {
                (VALUE, self.jittered(life))
            } else {
                (TOMBSTONE, TOMBSTONE_LIFE)
            };
            let value = tagged(tag, loaded.as_deref().unwrap_or_default());
            let stored = kv
                .replace(
                    &lease,
                    Record {
                        key,
                        value: &value,
                        life,
                    },
                )
                .await;
            warn_if_failed("cache fill", stored);
        }
        Ok(loaded.map(Bytes::from))
    }

    /// Stores a value that can never be out of date again (a revoked session).
    pub async fn settle(&self, key: &str, value: &[u8], life: Duration) {
        let Some(kv) = &self.kv else { return };
        let value = tagged(VALUE, value);
        warn_if_failed(
            "cache settle",
            kv.put(Record {
                key,
                value: &value,
                life,
            })
            .await,
        );
    }

    /// Forgets `key` after its row was written, and ends the lease of whoever is reading it.
    pub async fn invalidate(&self, key: &str) {
        let Some(kv) = &self.kv else { return };
        warn_if_failed("cache invalidation", kv.delete(key).await);
    }

    /// The right to fill `key`; none when somebody else has it or the store does not answer.
    async fn lease(&self, key: &str) -> Option<Vec<u8>> {
        let lease = tagged(LEASE, &self.random.bytes::<16>());
        match self
            .kv
            .as_ref()?
            .add(Record {
                key,
                value: &lease,
                life: LEASE_LIFE,
            })
            .await
        {
            Ok(true) => Some(lease),
            Ok(false) => None,
            Err(error) => {
                telemetry::degraded("cache lease", &error);
                None
            }
        }
    }

    fn jittered(&self, life: Duration) -> Duration {
        let [byte] = self.random.bytes::<1>();
        life.mul_f64(1.0 - f64::from(byte) / 2560.0)
    }
}

fn warn_if_failed<T>(what: &'static str, outcome: Result<T, KvError>) {
    if let Err(error) = outcome {
        telemetry::degraded(what, &error);
    }
}

/// A step that failed alone.
fn reply(outcome: Result<Vec<i64>, KvError>) -> Option<Vec<i64>> {
    outcome
        .inspect_err(|error| telemetry::degraded("shared state", error))
        .ok()
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 1);
    bytes.push(tag);
    bytes.extend_from_slice(value);
    bytes
}

/// A lease, and anything written by another version of this code, counts as nothing.
fn entry(value: Option<Bytes>) -> Entry {
    match value {
        Some(value) if value.first() == Some(&VALUE) => Entry::Value(value.slice(1..)),
        Some(value) if value.first() == Some(&TOMBSTONE) => Entry::Tombstone,
        _ => Entry::Absent,
    }
}

#[cfg(test)]
mod tests;
