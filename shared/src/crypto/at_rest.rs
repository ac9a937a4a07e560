//! Small secrets in a database row: AES-256-GCM (NIST SP 800-38D) under a named key.
//!
//! Format: `<key id>.<base64url(nonce ‖ ciphertext ‖ tag)>`, 96-bit random nonce, 128-bit tag. The
//! row's key is the associated data, so a value copied to another row can't be decrypted.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use thiserror::Error;

use super::hmac_sha256;
use crate::{config::DataKey, random::Random};

const NONCE: usize = 12;

/// The text was not encrypted with one of our keys for this row.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("stored secret can't be decrypted")]
pub struct OpenError;

/// The keys that data at rest is encrypted with: the first encrypts, all decrypt.
pub struct AtRest {
    keys: Vec<(String, Aes256Gcm)>,
    /// In the order of `keys`.
    tag_keys: Vec<Hmac<Sha256>>,
}

impl AtRest {
    /// Ciphers for `keys`, of which there is at least one: the settings check that.
    #[must_use]
    pub fn new(keys: &[DataKey]) -> Self {
        let cipher = |key: &DataKey| {
            (
                key.id.clone(),
                Aes256Gcm::new(key.key.expose_secret().into()),
            )
        };
        // Each key has one purpose: tags get a key derived from the encryption key.
        let tag_key = |key: &DataKey| {
            let derived = hmac_sha256(key.key.expose_secret())
                .chain_update(b"weapp-serverless session key tag v1")
                .finalize()
                .into_bytes();
            hmac_sha256(&derived)
        };
        Self {
            keys: keys.iter().map(cipher).collect(),
            tag_keys: keys.iter().map(tag_key).collect(),
        }
    }

    /// Encrypts `secret` for the row named `row`. `None` only without keys, or for more than 64
    /// GiB.
    #[must_use]
    pub fn seal(&self, secret: &SecretString, row: &str, random: &Random) -> Option<String> {
        let (id, cipher) = self.keys.first()?;
        let nonce: [u8; NONCE] = random.bytes();
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: row.as_bytes(),
        };
        let mut sealed = nonce.to_vec();
        sealed.extend(cipher.encrypt(&Nonce::from(nonce), payload).ok()?);
        Some(format!("{id}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Identifies a secret within its row, so that two can be compared without decrypting them:
    /// HMAC-SHA256 truncated to 128 bits, as hexadecimal digits, under a key derived from each of
    /// the keys in turn. A stored one may be any of them.
    pub fn tags(&self, secret: &SecretString, row: &str) -> impl Iterator<Item = String> {
        self.tag_keys.iter().map(move |key| {
            let mac = key
                .clone()
                .chain_update(row)
                .chain_update([0])
                .chain_update(secret.expose_secret());
            hex::encode(&mac.finalize().into_bytes()[..16])
        })
    }

    /// The one of [`Self::tags`] that is stored. Empty only without keys, which settings refuse.
    #[must_use]
    pub fn tag(&self, secret: &SecretString, row: &str) -> String {
        self.tags(secret, row).next().unwrap_or_default()
    }

    /// Decrypts what [`Self::seal`] encrypted for the same row.
    ///
    /// # Errors
    /// [`OpenError`], the same for every cause.
    pub fn open(&self, sealed: &str, row: &str) -> Result<SecretString, OpenError> {
        let (id, body) = sealed.split_once('.').ok_or(OpenError)?;
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(key, _)| key == id)
            .ok_or(OpenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| OpenError)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE>().ok_or(OpenError)?;
        let payload = Payload {
            msg: ciphertext,
            aad: row.as_bytes(),
        };
        let plain = cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| OpenError)?;
        String::from_utf8(plain)
            .map(SecretString::from)
            .map_err(|_| OpenError)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;

    fn at_rest(ids: &[(&str, u8)]) -> AtRest {
        let key = |(id, byte): &(&str, u8)| DataKey {
            id: (*id).to_owned(),
            key: SecretBox::new(Box::new([*byte; 32])),
        };
        AtRest::new(&ids.iter().map(key).collect::<Vec<_>>())
    }

    #[test]
    fn an_old_key_still_opens_and_the_new_one_seals() {
        let random = Random::seeded(1);
        let sealed = at_rest(&[("old", 1)])
            .seal(&"key".into(), "row", &random)
            .unwrap();
        let both = at_rest(&[("new", 2), ("old", 1)]);
        assert_eq!(both.open(&sealed, "row").unwrap().expose_secret(), "key");
        assert!(
            both.seal(&"key".into(), "row", &random)
                .unwrap()
                .starts_with("new.")
        );
    }

    #[test]
    fn another_row_another_key_or_a_changed_value_does_not_open() {
        let at_rest = at_rest(&[("k", 1)]);
        let sealed = at_rest
            .seal(&"key".into(), "row", &Random::seeded(1))
            .unwrap();
        assert_eq!(at_rest.open(&sealed, "other row").unwrap_err(), OpenError);
        assert_eq!(
            super::tests::at_rest(&[("k", 2)])
                .open(&sealed, "row")
                .unwrap_err(),
            OpenError
        );
        assert_eq!(
            at_rest
                .open(&sealed.replace("k.", "x."), "row")
                .unwrap_err(),
            OpenError
        );
        for bad in ["", "k", "k.", "k.!!", "k.AAAA", &sealed[..sealed.len() - 2]] {
            assert_eq!(at_rest.open(bad, "row").unwrap_err(), OpenError, "{bad}");
        }
    }

    fn tags(ids: &[(&str, u8)], secret: &str, row: &str) -> Vec<String> {
        at_rest(ids).tags(&secret.into(), row).collect()
    }

    #[test]
    fn a_tag_depends_on_the_secret_the_row_and_the_key() {
        let tag = tags(&[("k", 1)], "key", "row");
        assert_eq!(tag, tags(&[("other id", 1)], "key", "row"));
        assert_ne!(tag, tags(&[("k", 1)], "kez", "row"));
        assert_ne!(tag, tags(&[("k", 1)], "key", "other"));
        assert_ne!(tag, tags(&[("k", 2)], "key", "row"));
    }

    #[test]
    fn a_tag_of_an_older_key_is_among_those_of_the_same_secret() {
        let (old, new) = (("old", 1), ("new", 2));
        let under = |keys: &[(&str, u8)]| tags(keys, "key", "row");
        let both = [under(&[new]), under(&[old])].concat();
        assert_eq!(under(&[new, old]), both);
    }

    #[test]
    fn sealing_a_secret_twice_gives_different_texts() {
        let at_rest = at_rest(&[("k", 1)]);
        let seal = || at_rest.seal(&"key".into(), "row", &Random::System);
        assert_ne!(seal(), seal());
    }
}
