//! The keys of `wx.getUserCryptoManager()`, cached for their lifetime, so that not every message
//! costs a call.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use shared::{
    api::ApiError,
    auth::Claims,
    encrypted_kv::EncryptedKv,
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

/// The keys of users.
pub struct EncryptKeys {
    keys: SessionKeys,
    cache: EncryptedKv,
    /// The versions that WeChat was asked for and did not have.
    absent: Kv,
}

/// One key as it is cached.
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
        }
    }

    /// The caller's key of this version, if it is one of the last three. On a cache miss, the keys
    /// are fetched once; not for a version that was asked for a short while ago and not there.
    pub async fn get(&self, caller: &Claims, version: u32) -> Result<Option<EncryptKey>, ApiError> {
        let name = encrypt_keys_key(caller.sub, &caller.aud);
        let find = |keys: Vec<EncryptKey>| keys.into_iter().find(|key| key.version == version);
        if let Some(key) = find(self.cached(&name).await) {
            return Ok(Some(key));
        }
        let absent = format!("{name}:absent:{version}");
        if self.is_absent(&absent).await {
            return Ok(None);
        }
        let keys = self.keys.encrypt_keys(caller).await?;
        self.cache(&name, &keys).await;
        let found = find(keys);
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

    async fn cached(&self, name: &str) -> Vec<EncryptKey> {
        let cached: Option<Vec<CachedKey>> = self.cache.get(name).await.or_degraded(WHAT).flatten();
        let key = |cached: CachedKey| EncryptKey {
            key: cached.key.into(),
            iv: cached.iv,
            version: cached.version,
            lifetime: Duration::ZERO,
        };
        cached.unwrap_or_default().into_iter().map(key).collect()
    }

    async fn cache(&self, name: &str, keys: &[EncryptKey]) {
        let ttl = keys.iter().map(|key| key.lifetime).max();
        let ttl = ttl.unwrap_or_default().min(MAX_TTL);
        let cached = |key: &EncryptKey| CachedKey {
            key: key.key.expose_secret().to_owned(),
            iv: key.iv.clone(),
            version: key.version,
        };
        let cached: Vec<_> = keys.iter().map(cached).collect();
        self.cache
            .put(name, &cached, ttl, Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }
}
