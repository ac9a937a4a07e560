//! Shared state that only this service can read: values are encrypted under a key of `DATA_KEYS`,
//! with the name that they are stored under as associated data.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    crypto::AtRest,
    kv::{Delivery, Kv, KvError, Record},
    random::Random,
};

/// Encrypted values. Keep one per instance.
pub struct EncryptedKv {
    kv: Kv,
    at_rest: AtRest,
    random: Random,
}

impl EncryptedKv {
    /// Values in `kv`, encrypted by `at_rest`.
    #[must_use]
    pub fn new(kv: Kv, at_rest: AtRest, random: Random) -> Self {
        Self {
            kv,
            at_rest,
            random,
        }
    }

    /// The value of `key`. A value that can't be decrypted (its key was retired) or is not a `T`
    /// counts as missing.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, KvError> {
        let [sealed] = self.kv.get([key]).await?;
        Ok(sealed.and_then(|sealed| self.read(key, &sealed)))
    }

    /// The same for a text value.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn get_text(&self, key: &str) -> Result<Option<SecretString>, KvError> {
        let [sealed] = self.kv.get([key]).await?;
        Ok(sealed.and_then(|sealed| self.open(key, &sealed)))
    }

    /// Stores the value, whatever was there. A `ttl` of zero stores nothing.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn put<T: Serialize>(
        &self,
        key: &str,
        value: &T,
        ttl: Duration,
        delivery: Delivery,
    ) -> Result<(), KvError> {
        let json = SecretString::from(serde_json::to_string(value).unwrap_or_default());
        self.put_text(key, &json, ttl, delivery).await
    }

    /// The same for a text value.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn put_text(
        &self,
        key: &str,
        text: &SecretString,
        ttl: Duration,
        delivery: Delivery,
    ) -> Result<(), KvError> {
        let sealed = self.at_rest.seal(text, key, &self.random);
        let (Some(sealed), false) = (sealed, ttl.is_zero()) else {
            return Ok(());
        };
        let value = sealed.as_bytes();
        self.kv.put(Record { key, value, ttl }, delivery).await
    }

    /// Removes the value if it `matches` or can't be read; a value that has replaced it in the
    /// meantime stays.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached within its budget.
    pub async fn remove_if<T: DeserializeOwned>(
        &self,
        key: &str,
        matches: impl FnOnce(&T) -> bool,
    ) -> Result<(), KvError> {
        // A lookup that the write depends on has to be as certain as the write.
        let [sealed] = self.kv.get_as([key], Delivery::Required).await?;
        match sealed {
            Some(sealed) if self.read(key, &sealed).is_none_or(|value| matches(&value)) => {
                self.kv.remove(key, &sealed, Delivery::Required).await
            }
            _ => Ok(()),
        }
    }

    fn read<T: DeserializeOwned>(&self, key: &str, sealed: &Bytes) -> Option<T> {
        serde_json::from_str(self.open(key, sealed)?.expose_secret()).ok()
    }

    fn open(&self, key: &str, sealed: &Bytes) -> Option<SecretString> {
        let sealed = std::str::from_utf8(sealed).ok()?;
        self.at_rest.open(sealed, key).ok()
    }
}
