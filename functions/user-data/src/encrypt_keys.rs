//! The keys of `wx.getUserCryptoManager()`, cached for their lifetime, so that not every message
//! costs a call.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use shared::{
    api::ApiError,
    auth::Claims,
    clock::Clock,
    encrypted_kv::EncryptedKv,
    ids::{OpenId, SessionId},
    instance::Instance,
    kv::{Delivery, Kv, Record},
    telemetry::OrDegraded,
    users::encrypt_keys_key,
    wechat::EncryptKey,
};

use crate::session_key::SessionKeys;

/// The name of the cache in `degraded` log lines.
const WHAT: &str = "encrypt keys";
/// WeChat makes a new key each hour.
const MAX_TTL: Duration = Duration::from_hours(1);
/// How long it is remembered that WeChat had no key of a version. A client gets a version only with
/// its key, so this delays none that exists.
const ABSENT_TTL: Duration = Duration::from_mins(1);
/// The most identities of a user in a mini-program, and sessions of one of them, whose keys are
/// cached: the last ones.
const MOST: usize = 20;

/// The keys of users.
pub struct EncryptKeys {
    keys: SessionKeys,
    cache: EncryptedKv,
    /// The versions that WeChat was asked for and did not have.
    absent: Kv,
    clock: Clock,
}

/// The keys of one identity of a user in a mini-program as they are cached. Which identity a session is
/// of takes a look at the table, so the sessions that have asked are remembered too.
#[derive(Serialize, Deserialize)]
struct CachedKeys {
    open_id: OpenId,
    sessions: Vec<SessionId>,
    keys: Vec<CachedKey>,
    /// In seconds since the epoch.
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
struct CachedKey {
    key: String,
    iv: String,
    version: u32,
}

impl EncryptKeys {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        Self {
            keys,
            cache: instance.encrypted_kv(),
            absent: instance.kv(),
            clock: instance.clock(),
        }
    }

    /// The caller's key of this version, if it is one of the last three. On a cache miss, the keys
    /// are fetched once; not for a version that was asked for a short while ago and not there.
    pub async fn get(&self, caller: &Claims, version: u32) -> Result<Option<EncryptKey>, ApiError> {
        let name = encrypt_keys_key(caller.sub, &caller.aud);
        let mut cached = self.cached(&name).await;
        let of_session = |cached: &&CachedKeys| cached.sessions.contains(&caller.sid);
        if let Some(key) = cached
            .iter()
            .find(of_session)
            .and_then(|keys| keys.find(version))
        {
            return Ok(Some(key));
        }
        let absent = format!("{name}:absent:{}:{version}", caller.sid);
        if self.is_absent(&absent).await {
            return Ok(None);
        }
        let identity = self.keys.identity(caller).await?;
        let known = cached
            .iter()
            .position(|keys| keys.open_id == identity.open_id);
        let mut keys = known.map(|at| cached.remove(at));
        if keys
            .as_ref()
            .is_none_or(|keys| keys.find(version).is_none())
        {
            let fetched = self.keys.encrypt_keys(caller, &identity).await?;
            let sessions = keys.map(|keys| keys.sessions).unwrap_or_default();
            keys = Some(self.fetched(identity.open_id, sessions, &fetched));
        }
        let Some(mut keys) = keys else {
            return Ok(None);
        };
        let found = keys.find(version);
        keys.add(caller.sid);
        cached.push(keys);
        self.store(&name, &cached).await;
        if found.is_none() {
            self.remember_absent(&absent).await;
        }
        Ok(found)
    }

    async fn is_absent(&self, name: &str) -> bool {
        let known = self.absent.get([name]).await.or_degraded(WHAT);
        known.is_some_and(|[value]| value.is_some())
    }

    async fn remember_absent(&self, key: &str) {
        let (value, ttl) = (b"1", ABSENT_TTL);
        self.absent
            .put(Record { key, value, ttl }, Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }

    /// The keys of the user's identities that have not expired, the last ones last.
    async fn cached(&self, name: &str) -> Vec<CachedKeys> {
        let cached: Option<Vec<CachedKeys>> =
            self.cache.get(name).await.or_degraded(WHAT).flatten();
        let mut cached = cached.unwrap_or_default();
        cached.retain(|keys| keys.expires_at > self.clock.now_seconds());
        cached
    }

    fn fetched(
        &self,
        open_id: OpenId,
        sessions: Vec<SessionId>,
        keys: &[EncryptKey],
    ) -> CachedKeys {
        let ttl = keys.iter().map(|key| key.lifetime).max();
        let ttl = ttl.unwrap_or_default().min(MAX_TTL).as_secs();
        let cached = |key: &EncryptKey| CachedKey {
            key: key.key.expose_secret().to_owned(),
            iv: key.iv.clone(),
            version: key.version,
        };
        CachedKeys {
            open_id,
            sessions,
            keys: keys.iter().map(cached).collect(),
            expires_at: self.clock.now_seconds() + i64::try_from(ttl).unwrap_or_default(),
        }
    }

    async fn store(&self, name: &str, cached: &[CachedKeys]) {
        let last = &cached[cached.len().saturating_sub(MOST)..];
        let end = last.iter().map(|keys| keys.expires_at).max();
        let left = end.unwrap_or_default() - self.clock.now_seconds();
        let ttl = Duration::from_secs(u64::try_from(left).unwrap_or_default());
        self.cache
            .put(name, &last, ttl, Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }
}

impl CachedKeys {
    fn find(&self, version: u32) -> Option<EncryptKey> {
        let key = self.keys.iter().find(|key| key.version == version)?;
        Some(EncryptKey {
            key: key.key.clone().into(),
            iv: key.iv.clone(),
            version,
            lifetime: Duration::ZERO,
        })
    }

    fn add(&mut self, session: SessionId) {
        self.sessions.retain(|known| *known != session);
        self.sessions.push(session);
        let surplus = self.sessions.len().saturating_sub(MOST);
        self.sessions.drain(..surplus);
    }
}
