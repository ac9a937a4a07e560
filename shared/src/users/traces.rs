//! What shared state remembers of a user, and its removal.

use sha2::{Digest, Sha256};

use super::{
    Identity,
    last_logins::{self, LastLogins},
    profiles::invalidate_cached,
    rows::IDENTITY,
};
use crate::{
    cache::Cache,
    clock::Clock,
    ids::{AppId, UserId},
    kv::{Delivery, Kv},
    resilience::{Limiter, Limits, rate_limit::Identity as Charged},
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "traces of a user";

/// Where the encryption keys of a user in a mini-program are remembered. By a digest, so that the
/// name, and others that begin with it, tell nothing of the user.
#[must_use]
pub fn encrypt_keys_key(user: UserId, app_id: &AppId) -> String {
    let digest = Sha256::new()
        .chain_update(user.0.as_bytes())
        .chain_update(app_id.as_str())
        .finalize();
    format!("{{e:{}}}:encrypt_keys", hex::encode(digest))
}

/// Removes what shared state remembers of users. Cheap to clone.
#[derive(Clone)]
pub struct Traces {
    cache: Cache,
    shared: Option<Kv>,
    last_logins: LastLogins,
    limiter: Limiter,
    limits: Limits,
}

impl Traces {
    /// Removes what `cache`, `shared` and `limiter` remember.
    #[must_use]
    pub fn new(
        cache: Cache,
        shared: Option<Kv>,
        limiter: Limiter,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            cache,
            last_logins: LastLogins::new(shared.clone(), clock),
            shared,
            limiter,
            limits,
        }
    }

    /// What is remembered of a person in one mini-program. If it fails, it expires within a day.
    pub async fn remove_identity(&self, identity: &Identity) {
        let digest = last_logins::digest(&identity.pk);
        self.last_logins.erase(&digest).await;
        let Some(shared) = &self.shared else { return };
        let Some(app_id) = app_id(&identity.pk) else {
            return;
        };
        let keys = encrypt_keys_key(identity.user, &app_id);
        let removed = shared.delete(&keys, Delivery::Required).await;
        removed.or_degraded(WHAT);
    }

    /// What is remembered of a user, whatever mini-program they use. If it fails, it expires within
    /// a day.
    pub async fn remove_user(&self, user: UserId) {
        invalidate_cached(&self.cache, user).await;
        let Limits {
            user: requests,
            export,
            avatar,
            codes,
            ..
        } = self.limits;
        for cost in [requests, export, avatar, codes].into_iter().flatten() {
            self.limiter.forget(Charged::User(user), cost).await;
        }
    }
}

/// The mini-program that an identity's key names.
fn app_id(identity_pk: &str) -> Option<AppId> {
    let rest = identity_pk.strip_prefix(IDENTITY.pk_prefix)?;
    rest.split_once('#')?.0.parse().ok()
}
