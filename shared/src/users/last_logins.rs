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

use lru::LruCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::UserId,
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "last logins";
/// How long shared state keeps one.
const TTL: Duration = Duration::from_hours(24);
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
    here: Arc<Mutex<LruCache<Name, LastLogin>>>,
    shared: Option<Kv>,
}

/// An identity's name: a digest of its key, because an openid is no one else's business.
pub(super) type Name = [u8; 32];

pub(super) fn name(identity_pk: &str) -> Name {
    Sha256::digest(identity_pk).into()
}

impl LastLogins {
    /// Without `shared`, each instance remembers its own.
    pub(super) fn new(shared: Option<Kv>) -> Self {
        Self {
            here: Arc::new(Mutex::new(LruCache::sparse(CAPACITY))),
            shared,
        }
    }

    /// The last login of the identity, from this instance if it is there.
    pub(super) async fn find(&self, identity: &Name) -> Option<LastLogin> {
        if let Some(known) = self.lock().get(identity) {
            return Some(known.clone());
        }
        let [stored] = self
            .shared
            .as_ref()?
            .get([&key(identity)])
            .await
            .or_degraded(WHAT)?;
        // Undecodable is unknown: another version wrote it.
        let known: LastLogin = serde_json::from_slice(&stored?).ok()?;
        self.lock().put(*identity, known.clone());
        Some(known)
    }

    /// Remembers a login, in shared state if it differs from what is there as far as this instance
    /// knows.
    pub(super) async fn remember(&self, identity: &Name, login: LastLogin) {
        let before = self.lock().put(*identity, login.clone());
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
    pub(super) fn forget(&self, identity: &Name) {
        self.lock().pop(identity);
    }

    /// Removes it, from shared state too.
    pub(super) async fn erase(&self, identity: &Name) {
        self.forget(identity);
        let Some(shared) = &self.shared else { return };
        shared
            .delete(&key(identity), Delivery::Required)
            .await
            .or_degraded(WHAT);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Name, LastLogin>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(identity: &Name) -> String {
    format!("{{i:{}}}:login", hex::encode(identity))
}
