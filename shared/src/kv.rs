//! State that instances share and that may be lost: a small key-value interface to Redis, or to
//! this process's memory.
//!
//! Both behave the same (one test runs against both). Losing this state costs time, never a user or
//! a session: DynamoDB is authoritative.

mod memory;
mod redis;
mod step;

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

pub use self::{
    memory::MemoryStore,
    redis::RedisStore,
    step::{Applied, MAX_WHOLE, Micros, Script, Step, Write, whole_number},
};

/// The store did not respond in time, or returned an error. The text never contains a key or a
/// value.
#[derive(Debug, Clone, Error)]
#[error("shared state unavailable: {0}")]
pub struct KvError(pub(crate) String);

impl KvError {
    /// The reply to a step is not one that `what` returns.
    #[must_use]
    pub fn unexpected(what: &str) -> Self {
        Self(format!("unexpected reply for {what}"))
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

/// How much a write matters, and so which time budget it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It may be lost (filling a cache): it shares the request's Redis budget with the request's
    /// other calls.
    BestEffort,
    /// A caller waits for it or is protected by it (a first use, how a claim ended, a revocation,
    /// an invalidation, a breaker's report, returning a lock): it has a full budget of its own,
    /// however much of the request's is used up.
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

/// The replies to [`Kv::ask`].
pub struct Replies<const N: usize> {
    /// The reply to each step, in order. A step that fails by itself (its script met a value that
    /// it can't parse) does not fail the others.
    pub steps: Vec<Result<Vec<i64>, KvError>>,
    /// The values of the keys.
    pub values: [Option<Bytes>; N],
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
        match self {
            Self::Redis(redis) => redis.ask(steps, keys, delivery).await,
            Self::Memory(memory) => {
                let steps = steps.iter().map(|step| Ok(memory.step(*step))).collect();
                Ok(Replies {
                    steps,
                    values: memory.get(keys),
                })
            }
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
        Ok(self.ask(&[], keys, Delivery::BestEffort).await?.values)
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

    /// Checks that the store responds now, whatever happened before; connects if there is no
    /// connection.
    ///
    /// # Errors
    /// [`KvError`] when it does not respond within its budget.
    pub async fn ping(&self) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.ping().await,
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
