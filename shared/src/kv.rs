//! State that instances share and that may be lost: a small key-value interface to Redis, or to
//! this process's memory.
//!
//! Both behave the same (one test runs against both). Losing this state costs time, never a user or
//! a session: DynamoDB is authoritative.

mod memory;
mod poll;
mod redis;
mod step;

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

pub(crate) use self::poll::Poll;
pub use self::{
    memory::MemoryStore,
    redis::RedisStore,
    step::{Applied, MAX_WHOLE, Micros, Script, Step, Write, whole_number},
};

/// The store did not do what it was asked to. The text never contains a key or a value.
#[derive(Debug, Clone, Error)]
pub enum KvError {
    /// It did not respond in time, or can't serve any request.
    #[error("shared state unavailable: {0}")]
    Unavailable(String),
    /// It responded, and refused this command: it is out of memory, has too few replicas, or does
    /// not permit it.
    #[error("shared state refused a command: {0}")]
    Refused(String),
}

impl KvError {
    /// The reply to a step is not one that `what` returns.
    #[must_use]
    pub fn unexpected(what: &str) -> Self {
        Self::Unavailable(format!("unexpected reply for {what}"))
    }
}

/// A value to be stored until it expires.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// `{hash tag}` first, so that keys used together share a cluster slot.
    pub key: &'a str,
    /// The value.
    pub value: &'a [u8],
    /// The record expires after this.
    pub ttl: Duration,
}

/// A key that a caller has claimed with [`Kv::add`].
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// The claimed key.
    pub key: &'a str,
    /// The value that the caller stored there, unique to it.
    pub holder: &'a [u8],
}

/// How much a call matters, and so what is done to get it through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It may be lost (filling a cache): it shares the request's Redis budget with the request's
    /// other calls.
    BestEffort,
    /// A caller waits for it or is protected by it (a claim, a first use, a revocation, an
    /// invalidation, a breaker's report, returning a lock): it has a full budget of its own, however
    /// much of the request's is used up, and tries to connect even while Redis is bypassed after a
    /// failure.
    Required,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub enum Kv {
    /// One Redis for all instances.
    Redis(RedisStore),
    /// This process's memory: for a single process, and as the fallback where that is safe.
    Memory(MemoryStore),
}

/// What one round trip asks for, in this order.
pub struct RoundTrip<'a, const N: usize> {
    /// Keys to remove.
    pub removals: &'a [&'a str],
    /// Steps to run.
    pub steps: &'a [&'a dyn Step],
    /// Keys to read.
    pub keys: [&'a str; N],
}

/// The replies to a [`RoundTrip`], in its order. A command that fails by itself (a script met a
/// value that it can't parse, a cluster's node is down) does not fail the others.
pub struct Replies<const N: usize> {
    /// Whether each key was removed.
    pub removals: Vec<Result<(), KvError>>,
    /// The reply to each step.
    pub steps: Vec<Result<Vec<i64>, KvError>>,
    /// The values of the keys.
    pub values: [Result<Option<Bytes>, KvError>; N],
}

impl Kv {
    /// Runs `steps` and reads `keys`, all in one round trip.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget. The steps may have run
    /// nevertheless.
    pub async fn ask<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
        delivery: Delivery,
    ) -> Result<Replies<N>, KvError> {
        let asked = RoundTrip {
            removals: &[],
            steps,
            keys,
        };
        match self {
            Self::Redis(redis) => redis.ask(&asked, delivery).await,
            Self::Memory(memory) => Ok(memory.ask(&asked)),
        }
    }

    /// The same, with removals, for values that are believed only while the store accepts writes: a
    /// value that should have been removed may still be there while it refuses them, whichever
    /// instance tried to remove it. Every value is an error then. To find that out, round trips carry the writes that
    /// a removal makes: on a single server at most once a second, on a cluster's nodes each time.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget. The writes may have happened
    /// nevertheless.
    pub async fn ask_while_writable<const N: usize>(
        &self,
        asked: &RoundTrip<'_, N>,
    ) -> Result<Replies<N>, KvError> {
        match self {
            Self::Redis(redis) => redis.ask_while_writable(asked).await,
            Self::Memory(memory) => Ok(memory.ask(asked)),
        }
    }

    /// Runs one step.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget. The step may have run
    /// nevertheless.
    pub async fn step(&self, step: &dyn Step, delivery: Delivery) -> Result<Vec<i64>, KvError> {
        match self {
            Self::Redis(redis) => redis.step(step, delivery).await,
            Self::Memory(memory) => Ok(memory.step(step)),
        }
    }

    /// The values of `keys`, in one round trip.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn get<const N: usize>(
        &self,
        keys: [&str; N],
    ) -> Result<[Option<Bytes>; N], KvError> {
        self.get_as(keys, Delivery::BestEffort).await
    }

    /// The same, with this delivery: for a write that depends on the values.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn get_as<const N: usize>(
        &self,
        keys: [&str; N],
        delivery: Delivery,
    ) -> Result<[Option<Bytes>; N], KvError> {
        let mut failed = None;
        let values = self.ask(&[], keys, delivery).await?.values.map(|value| {
            value.unwrap_or_else(|error| {
                failed = Some(error);
                None
            })
        });
        failed.map_or(Ok(values), Err)
    }

    /// Stores the record, replacing any value.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn put(&self, record: Record<'_>, delivery: Delivery) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.put(record, delivery).await,
            Self::Memory(memory) => {
                memory.put(&record);
                Ok(())
            }
        }
    }

    /// Stores the record if the key has no value; returns whether the key holds the record now. A
    /// value that is unique to the caller makes this safe to repeat when a reply was lost.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn add(&self, record: Record<'_>, delivery: Delivery) -> Result<bool, KvError> {
        match self {
            Self::Redis(redis) => redis.add(record, delivery).await,
            Self::Memory(memory) => Ok(memory.add(&record)),
        }
    }

    /// Stores the record if the key's value is exactly `expected`; returns whether it did.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn replace(
        &self,
        expected: &[u8],
        record: Record<'_>,
        delivery: Delivery,
    ) -> Result<bool, KvError> {
        match self {
            Self::Redis(redis) => redis.replace(expected, record, delivery).await,
            Self::Memory(memory) => Ok(memory.replace(expected, &record)),
        }
    }

    /// Stores the record if the key's value is exactly `expected` and the claim still has its holder,
    /// and gives the claim up then; returns whether it did. The claim's key has the hash tag of the
    /// record's.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn replace_claimed(
        &self,
        claim: Holding<'_>,
        expected: &[u8],
        record: Record<'_>,
        delivery: Delivery,
    ) -> Result<bool, KvError> {
        match self {
            Self::Redis(redis) => {
                redis
                    .replace_claimed(claim, expected, record, delivery)
                    .await
            }
            Self::Memory(memory) => Ok(memory.replace_claimed(claim, expected, &record)),
        }
    }

    /// Removes `keys`, in one round trip. Each has its own outcome, in their order: in a cluster a
    /// node that is down fails only its own.
    pub async fn delete_all(&self, keys: &[&str], delivery: Delivery) -> Vec<Result<(), KvError>> {
        match self {
            Self::Redis(redis) => redis.delete_all(keys, delivery).await,
            Self::Memory(memory) => {
                let delete = |key: &&str| {
                    memory.delete(key);
                    Ok(())
                };
                keys.iter().map(delete).collect()
            }
        }
    }

    /// Removes `key`.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn delete(&self, key: &str, delivery: Delivery) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.delete(key, delivery).await,
            Self::Memory(memory) => {
                memory.delete(key);
                Ok(())
            }
        }
    }

    /// Removes `key` if its value is exactly `expected`: a value that replaced it stays.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn remove(
        &self,
        key: &str,
        expected: &[u8],
        delivery: Delivery,
    ) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.remove(key, expected, delivery).await,
            Self::Memory(memory) => {
                memory.remove(key, expected);
                Ok(())
            }
        }
    }

    /// Checks that the store does all that requests need now, whatever happened before: it stores
    /// a value that expires, runs a script, reads and removes (in a cluster, on every primary).
    /// Connects if there is no connection.
    ///
    /// # Errors
    /// [`KvError`] when it does not respond within its budget, or refuses one of these.
    pub async fn probe(&self) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.probe().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// The store's name in health reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Memory(_) => "memory",
        }
    }
}
