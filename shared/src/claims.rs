//! Idempotency across instances: the first caller does the work, and the others get its outcome.
//!
//! A caller claims a key, does the work, and completes the claim with an outcome, or releases it
//! for the next caller. Callers that arrive in the meantime wait. A claim is made in this process
//! first, then in shared state: only one of an instance's requests competes with other instances,
//! so an instance does the work once even while shared state responds to some requests and not to
//! others.
//!
//! A claim has an owner. Only the owner completes or releases it: both are compare-and-set on the
//! pending value, which is unique to the claim.

mod first_use;

use std::{marker::PhantomData, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;

pub use self::first_use::{Binding, FirstUses};
use crate::{
    clock::Clock,
    kv::{Delivery, Kv, KvError, MemoryStore, Poll, Record},
    random::Random,
    request::{self, deadline},
    telemetry::OrDegraded,
};

/// The rules of one kind of claim.
#[derive(Debug, Clone)]
pub struct ClaimRules<T> {
    /// The name of these claims in `degraded` log lines.
    pub what: &'static str,
    /// The time to live of a claim that is neither completed nor released.
    pub claim_ttl: Duration,
    /// The time to live of an outcome.
    pub outcome_ttl: Duration,
    /// How long a caller waits for another caller's claim.
    pub wait: Duration,
    /// The outcome for later callers at this instance when the owner drops its claim without
    /// completing or releasing it (it panicked). `None`: they wait until the claim expires.
    pub abandoned: Option<T>,
}

/// The result of [`Claims::claim_or_wait`] and [`Claims::try_claim`].
pub enum ClaimOutcome<T> {
    /// The caller owns the claim and does the work.
    Claimed(Claim<T>),
    /// Another caller did the work, with this outcome.
    Completed(T),
    /// Another caller is doing the work, and did not finish within the wait, if there was one.
    InProgress,
}

/// What is stored under a claim's key.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored<T> {
    Pending {
        /// Unique to the claim.
        #[serde(rename = "Pending")]
        owner: String,
    },
    Completed(T),
}

/// Claims of one kind, with outcomes of type `T`. `T` must not serialize to an object with the
/// field `Pending`. Keep one per instance.
pub struct Claims<T> {
    local: MemoryStore,
    shared: Kv,
    random: Random,
    rules: ClaimRules<T>,
}

impl<T: Serialize + DeserializeOwned> Claims<T> {
    /// Claims in this process and in `shared`.
    #[must_use]
    pub fn new(shared: Kv, clock: Clock, random: Random, rules: ClaimRules<T>) -> Self {
        Self {
            local: MemoryStore::new(clock),
            shared,
            random,
            rules,
        }
    }

    /// Claims `key`, or waits for the outcome of the caller that owns it. Without shared state this
    /// works within one instance only.
    pub async fn claim_or_wait(&self, key: &str) -> ClaimOutcome<T> {
        self.claim_within(key, self.rules.wait).await
    }

    /// The same without the wait: for a caller that does something else at the same time, and waits
    /// afterwards if it has to.
    pub async fn try_claim(&self, key: &str) -> ClaimOutcome<T> {
        self.claim_within(key, Duration::ZERO).await
    }

    async fn claim_within(&self, key: &str, wait: Duration) -> ClaimOutcome<T> {
        let pending = encode(&Stored::<T>::Pending {
            owner: hex::encode(self.random.bytes::<16>()),
        });
        let give_up = Instant::now() + deadline::cap(wait);
        let local = Kv::Memory(self.local.clone());
        // The memory store never fails.
        if let Ok(Some(found)) = self.wait_for(&local, key, &pending, give_up).await {
            return found.into();
        }
        let mut local = LocalClaim {
            store: &self.local,
            key,
            pending: &pending,
            keep: false,
        };
        let found = self.wait_for(&self.shared, key, &pending, give_up).await;
        // After an error the claim may be stored nevertheless: only the reply was lost.
        match found.or_degraded(self.rules.what).flatten() {
            Some(Stored::Completed(outcome)) => {
                local.complete(&outcome, self.rules.outcome_ttl);
                ClaimOutcome::Completed(outcome)
            }
            Some(Stored::Pending { .. }) => ClaimOutcome::InProgress,
            None => {
                local.keep = true;
                ClaimOutcome::Claimed(self.claim(key, pending.clone()))
            }
        }
    }

    fn claim(&self, key: &str, pending: Vec<u8>) -> Claim<T> {
        let abandoned = self.rules.abandoned.as_ref();
        Claim {
            what: self.rules.what,
            local: self.local.clone(),
            shared: self.shared.clone(),
            key: key.to_owned(),
            pending,
            outcome_ttl: self.rules.outcome_ttl,
            abandoned: abandoned.map(|outcome| encode(&Stored::Completed(outcome))),
            outcome: PhantomData,
        }
    }

    /// Polls until the caller gets the claim (`None`), another caller has completed it, or the wait
    /// is over. Fails only while it is unknown whether another caller has the claim.
    async fn wait_for(
        &self,
        kv: &Kv,
        key: &str,
        pending: &[u8],
        give_up: Instant,
    ) -> Result<Option<Stored<T>>, KvError> {
        let (mut poll, mut taken) = (Poll::until(give_up), false);
        loop {
            match claim_once(kv, key, pending, self.rules.claim_ttl).await {
                Ok(Some(Stored::Pending { .. })) => taken = true,
                Ok(ended) => return Ok(ended),
                Err(error) if !taken => return Err(error),
                // Another caller had the claim at the last poll, so doing the work now could repeat
                // it.
                Err(_) => {}
            }
            if !poll.wait().await {
                return Ok(Some(unknown_owner()));
            }
            // The outcome is worth more than the time: each poll has the whole budget.
            request::renew_redis_budget();
        }
    }
}

/// Claims `key` if it is free (`None`), else reads the stored value.
async fn claim_once<T: DeserializeOwned>(
    kv: &Kv,
    key: &str,
    pending: &[u8],
    ttl: Duration,
) -> Result<Option<Stored<T>>, KvError> {
    let value = pending;
    let record = Record { key, value, ttl };
    if kv.add(record, Delivery::Required).await? {
        return Ok(None);
    }
    // Another caller has the claim, even if its value can't be read now. A missing value means that
    // it was just released, so the next poll may get it.
    let found = kv.get_as([key], Delivery::Required).await;
    let value = found.ok().and_then(|[value]| value);
    let stored = value.and_then(|value| serde_json::from_slice(&value).ok());
    Ok(Some(stored.unwrap_or_else(unknown_owner)))
}

fn unknown_owner<T>() -> Stored<T> {
    Stored::Pending {
        owner: String::new(),
    }
}

/// The exclusive right to do the work.
#[must_use = "others wait until the claim is completed or released"]
pub struct Claim<T> {
    what: &'static str,
    local: MemoryStore,
    shared: Kv,
    key: String,
    pending: Vec<u8>,
    outcome_ttl: Duration,
    /// The encoded outcome to store in this instance when the claim is dropped.
    abandoned: Option<Vec<u8>>,
    outcome: PhantomData<fn(T)>,
}

impl<T: Serialize> Claim<T> {
    /// Publishes the outcome to the other callers.
    pub async fn complete(mut self, outcome: &T) {
        self.abandoned = None;
        let value = encode(&Stored::Completed(outcome));
        let record = Record {
            key: &self.key,
            value: &value,
            ttl: self.outcome_ttl,
        };
        // Local first: it costs nothing and can't fail.
        let _ = complete_local(&self.local, &self.pending, &record);
        self.complete_shared(record).await.or_degraded(self.what);
    }

    async fn complete_shared(&self, record: Record<'_>) -> Result<(), KvError> {
        let Self {
            shared, pending, ..
        } = self;
        if !shared.replace(pending, record, Delivery::Required).await? {
            // The key is missing: the claim did not reach shared state, or has expired. Another
            // caller's claim or outcome stays.
            shared.add(record, Delivery::Required).await?;
        }
        Ok(())
    }

    /// Lets the next caller do the work.
    pub async fn release(mut self) {
        self.abandoned = None;
        // Shared state first, because a local waiter that gets the local claim tries there next.
        self.shared
            .remove(&self.key, &self.pending, Delivery::Required)
            .await
            .or_degraded(self.what);
        self.local.remove(&self.key, &self.pending);
    }
}

impl<T> Drop for Claim<T> {
    fn drop(&mut self) {
        let Some(value) = &self.abandoned else {
            return;
        };
        let record = Record {
            key: &self.key,
            value,
            ttl: self.outcome_ttl,
        };
        let _ = complete_local(&self.local, &self.pending, &record);
    }
}

/// A claim among the requests of this instance, released when its request is dropped while it waits
/// for shared state.
struct LocalClaim<'a> {
    store: &'a MemoryStore,
    key: &'a str,
    pending: &'a [u8],
    keep: bool,
}

impl LocalClaim<'_> {
    fn complete<T: Serialize>(&mut self, outcome: &T, ttl: Duration) {
        self.keep = true;
        let value = &encode(&Stored::Completed(outcome));
        let key = self.key;
        let _ = complete_local(self.store, self.pending, &Record { key, value, ttl });
    }
}

impl Drop for LocalClaim<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.store.remove(self.key, self.pending);
        }
    }
}

/// Stores the outcome unless the key holds another caller's claim or outcome. Whether it did.
fn complete_local(store: &MemoryStore, pending: &[u8], record: &Record<'_>) -> bool {
    store.replace(pending, record) || store.add(record)
}

impl<T> From<Stored<T>> for ClaimOutcome<T> {
    fn from(stored: Stored<T>) -> Self {
        match stored {
            Stored::Completed(outcome) => Self::Completed(outcome),
            Stored::Pending { .. } => Self::InProgress,
        }
    }
}

/// Only types whose serialization can't fail are stored, so the default is never used.
fn encode<T: Serialize>(stored: &Stored<T>) -> Vec<u8> {
    serde_json::to_vec(stored).unwrap_or_default()
}

#[cfg(test)]
mod tests;
