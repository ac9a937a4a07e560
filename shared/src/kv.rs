//! The state that instances share and can lose: a small key-value port over Redis, or over this
//! process's memory.
//!
//! Both answer the same to the same operations (one test drives both). What is lost here costs
//! time, never a user or a session: DynamoDB is the truth.

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

/// The store did not answer in time, or answered with an error. The text never holds a key or a
/// value.
#[derive(Debug, Clone, Error)]
#[error("shared state unavailable: {0}")]
pub struct KvError(pub(crate) String);

impl KvError {
    /// The reply to a step is none that `what` gives.
    #[must_use]
    pub fn unexpected(what: &str) -> Self {
        Self(format!("the store's answer does not fit {what}"))
    }
}

/// A value to be stored for a while.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// `{hash tag}` first, so that keys used together share a cluster slot.
    pub key: &'a str,
    /// The value.
    pub value: &'a [u8],
    /// After this the record is gone.
    pub ttl: Duration,
}

/// How much a write matters, and so how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It may be lost (filling a cache): it shares the request's time for Redis with everything
    /// that the request asks.
    BestEffort,
    /// Somebody waits for it or is protected by it (how a claim ended, a revocation, an
    /// invalidation, a breaker's report, returning a lock): it has that time to itself, however
    /// much the request has used.
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

/// What [`Kv::ask`] answers.
pub struct Replies<const N: usize> {
    /// Each step's reply, in their order. A step that failed alone (its script met a value that it
    /// can't read) does not make the others fail.
    pub steps: Vec<Result<Vec<i64>, KvError>>,
    /// The values of the keys.
    pub values: [Option<Bytes>; N],
}

impl Kv {
    /// Takes `steps` and reads `keys`, all in one round trip.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget. The steps may have been taken
    /// all the same.
    pub async fn ask<const N: usize>(
        &self,
        steps: &[&dyn Step],
        keys: [&str; N],
    ) -> Result<Replies<N>, KvError> {
        match self {
            Self::Redis(redis) => redis.ask(steps, keys, Delivery::BestEffort).await,
            Self::Memory(memory) => {
                let steps = steps.iter().map(|step| Ok(memory.step(*step))).collect();
                Ok(Replies {
                    steps,
                    values: memory.get(keys),
                })
            }
        }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget. The step may have been taken
    /// all the same.
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
        Ok(self.ask(&[], keys).await?.values)
    }

    /// Stores the record, whatever was there.
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

    /// Stores the record if nothing is there; says whether it is there now. A value that is unique
    /// to the caller makes this safe to repeat when an answer was lost.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn add(&self, record: Record<'_>) -> Result<bool, KvError> {
        match self {
            Self::Redis(redis) => redis.add(record).await,
            Self::Memory(memory) => Ok(memory.add(&record)),
        }
    }

    /// Stores the record if exactly `expected` is there; says whether it did.
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

    /// Removes `key` if exactly `expected` is there: a value that replaced it stays.
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

    /// Whether the store answers right now, whatever happened before; connects where there is no
    /// connection.
    ///
    /// # Errors
    /// [`KvError`] when it does not within its budget.
    pub async fn ping(&self) -> Result<(), KvError> {
        match self {
            Self::Redis(redis) => redis.ping().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// What this store is called in a health report.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Memory(_) => "memory",
        }
    }
}
