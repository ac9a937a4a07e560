//! What a login leaves behind for the next one of the same person in the same mini-program, so that
//! the next one knows the user before it has read the identity, and all its writes go out together.
//!
//! Nothing is decided by it: the write of a login has the condition that the identity is still as it
//! was remembered. So it may be lost, outdated, or kept by one instance while another one changes
//! the identity.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use lru::LruCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    ids::UserId,
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "last logins";
/// How long shared state keeps one.
const TTL: Duration = Duration::from_hours(24);
/// How long an instance believes its own. Other instances can't remove it, so until then a login may
/// begin to write for a user who was deleted meanwhile, before it finds out.
const LOCAL_TTL: Duration = Duration::from_mins(5);
/// The most that an instance keeps; the least recently used one is evicted first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("above zero");

/// An identity as the last login left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastLogin {
    /// The user.
    pub(super) user: UserId,
    /// The tag of the session key that is stored.
    pub(super) key_tag: String,
    /// Whether the identity has a union id.
    pub(super) has_union_id: bool,
}

/// The last logins, in this instance and in shared state. Cheap to clone.
#[derive(Clone)]
pub(super) struct LastLogins {
    local: Arc<Mutex<Local>>,
    shared: Option<Kv>,
    clock: Clock,
}

/// Each with the time when this instance got to know it.
type Local = LruCache<IdentityDigest, (LastLogin, Timestamp)>;

/// A digest of an identity's key, because an openid is no one else's business.
pub(super) type IdentityDigest = [u8; 32];

pub(super) fn digest(identity_pk: &str) -> IdentityDigest {
    Sha256::digest(identity_pk).into()
}

impl LastLogins {
    /// Without `shared`, each instance remembers its own.
    pub(super) fn new(shared: Option<Kv>, clock: Clock) -> Self {
        Self {
            local: Arc::new(Mutex::new(LruCache::sparse(CAPACITY))),
            shared,
            clock,
        }
    }

    /// The last login of the identity, from this instance if it is there.
    pub(super) async fn find(&self, identity: &IdentityDigest) -> Option<LastLogin> {
        if let Some(known) = self.find_local(identity) {
            return Some(known);
        }
        let [stored] = self
            .shared
            .as_ref()?
            .get([&key(identity)])
            .await
            .or_degraded(WHAT)?;
        // Undecodable is unknown: another version wrote it.
        let known: LastLogin = serde_json::from_slice(&stored?).ok()?;
        self.keep(identity, known.clone());
        Some(known)
    }

    fn find_local(&self, identity: &IdentityDigest) -> Option<LastLogin> {
        let mut local = self.lock();
        let (known, since) = local.get(identity)?;
        let age = self.clock.now().duration_since(*since).unsigned_abs();
        (age < LOCAL_TTL).then(|| known.clone())
    }

    fn keep(&self, identity: &IdentityDigest, login: LastLogin) {
        self.lock().put(*identity, (login, self.clock.now()));
    }

    /// Remembers a login, in shared state if it differs from what is there as far as this instance
    /// knows.
    pub(super) async fn remember(&self, identity: &IdentityDigest, login: LastLogin) {
        let before = self.find_local(identity);
        self.keep(identity, login.clone());
        if before.as_ref() == Some(&login) {
            return;
        }
        let Some(shared) = &self.shared else { return };
        // Serializing it can't fail; an empty value would count as unknown.
        let value = &serde_json::to_vec(&login).unwrap_or_default();
        let key = &key(identity);
        let record = Record {
            key,
            value,
            ttl: TTL,
        };
        shared
            .put(record, Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }

    /// Forgets it in this instance, after it turned out to be wrong.
    pub(super) fn forget(&self, identity: &IdentityDigest) {
        self.lock().pop(identity);
    }

    /// Removes it, from shared state too.
    pub(super) async fn erase(&self, identity: &IdentityDigest) {
        self.forget(identity);
        let Some(shared) = &self.shared else { return };
        shared
            .delete(&key(identity), Delivery::Required)
            .await
            .or_degraded(WHAT);
    }

    fn lock(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(identity: &IdentityDigest) -> String {
    format!("{{i:{}}}:login", hex::encode(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, kv::MemoryStore};

    #[tokio::test]
    async fn what_another_instance_has_erased_is_believed_for_five_minutes() {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::Manual(manual.clone());
        let shared = Kv::Memory(MemoryStore::new(clock.clone()));
        let [one, other] = [(); 2].map(|()| LastLogins::new(Some(shared.clone()), clock.clone()));
        let identity = digest("identity");
        let last = LastLogin {
            user: "0193c0de-0000-7000-8000-000000000001".parse().unwrap(),
            key_tag: "tag".to_owned(),
            has_union_id: false,
        };
        one.remember(&identity, last.clone()).await;
        assert_eq!(other.find(&identity).await, Some(last.clone()));
        other.erase(&identity).await;
        manual.advance_seconds(299);
        assert_eq!(one.find(&identity).await, Some(last.clone()));
        manual.advance_seconds(1);
        assert_eq!(one.find(&identity).await, None);
        // What is no longer believed is written to shared state again.
        one.remember(&identity, last.clone()).await;
        assert_eq!(other.find(&identity).await, Some(last));
    }
}
