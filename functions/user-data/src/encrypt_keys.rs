//! The keys of `wx.getUserCryptoManager()`, remembered for as long as they live, so that not each
//! message costs a call.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use shared::{
    api::ApiError,
    auth::Claims,
    crypto::AtRest,
    instance::Instance,
    kv::{Kv, Record},
    random::Random,
    telemetry,
    wechat::EncryptKey,
};

use crate::session_key::SessionKeys;

/// WeChat makes a new key each hour.
const LONGEST: Duration = Duration::from_hours(1);

/// The keys of users.
pub struct EncryptKeys {
    keys: SessionKeys,
    kv: Kv,
    at_rest: AtRest,
    random: Random,
}

/// One key as it is remembered.
#[derive(Serialize, Deserialize)]
struct Stored {
    key: String,
    iv: String,
    version: u32,
}

impl EncryptKeys {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        Self {
            keys,
            kv: instance.kv(),
            at_rest: instance.at_rest(),
            random: instance.random(),
        }
    }

    /// The caller's key of this version, if it is one of the last three. One that is not remembered
    /// is asked for once.
    pub async fn get(&self, caller: &Claims, version: u32) -> Result<Option<EncryptKey>, ApiError> {
        let name = format!("{{u:{}}}:encrypt_keys:{}", caller.sub, caller.aud);
        let find = |keys: Vec<EncryptKey>| keys.into_iter().find(|key| key.version == version);
        if let Some(key) = find(self.remembered(&name).await) {
            return Ok(Some(key));
        }
        let keys = self.keys.encrypt_keys(caller).await?;
        self.remember(&name, &keys).await;
        Ok(find(keys))
    }

    async fn remembered(&self, name: &str) -> Vec<EncryptKey> {
        let sealed = match self.kv.get([name]).await {
            Ok([sealed]) => sealed,
            Err(error) => {
                telemetry::degraded("encrypt keys", &error);
                None
            }
        };
        let opened = sealed.and_then(|sealed| {
            self.at_rest
                .open(std::str::from_utf8(&sealed).ok()?, name)
                .ok()
        });
        let stored: Option<Vec<Stored>> =
            opened.and_then(|text| serde_json::from_str(text.expose_secret()).ok());
        let key = |stored: Stored| EncryptKey {
            key: stored.key.into(),
            iv: stored.iv,
            version: stored.version,
            life: Duration::ZERO,
        };
        stored.unwrap_or_default().into_iter().map(key).collect()
    }

    async fn remember(&self, name: &str, keys: &[EncryptKey]) {
        let life = keys
            .iter()
            .map(|key| key.life)
            .max()
            .unwrap_or_default()
            .min(LONGEST);
        let stored = |key: &EncryptKey| Stored {
            key: key.key.expose_secret().to_owned(),
            iv: key.iv.clone(),
            version: key.version,
        };
        let text =
            serde_json::to_string(&keys.iter().map(stored).collect::<Vec<_>>()).unwrap_or_default();
        let sealed = self
            .at_rest
            .seal(&SecretString::from(text), name, &self.random);
        // Redis takes no life of zero.
        let (Some(sealed), false) = (sealed, life.is_zero()) else {
            return;
        };
        if let Err(error) = self
            .kv
            .put(Record {
                key: name,
                value: sealed.as_bytes(),
                life,
            })
            .await
        {
            telemetry::degraded("encrypt keys", &error);
        }
    }
}
