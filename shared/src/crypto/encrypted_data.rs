//! Data that WeChat encrypts and signs with a user's `session_key`.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html

use aes::Aes128;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::Mac;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::{aes_cbc, hmac_sha256};

/// The length of an AES block, and so of an IV, in bytes.
const BLOCK: usize = 16;

/// The data can't be decrypted with this key. One error for wrong padding, encoding and structure:
/// telling them apart would let a sender of modified data learn about the plaintext.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the data can't be decrypted with this key")]
pub struct WrongKey;

/// Data in the form that WeChat sends: AES-128-CBC in whole blocks.
pub struct EncryptedData {
    ciphertext: Vec<u8>,
    iv: [u8; BLOCK],
}

impl EncryptedData {
    /// Parses both texts, base64 with padding; `None` when one is not base64 or has an impossible
    /// length.
    #[must_use]
    pub fn parse(encrypted_data: &str, iv: &str) -> Option<Self> {
        let ciphertext = STANDARD.decode(encrypted_data).ok()?;
        let iv = STANDARD.decode(iv).ok()?.try_into().ok()?;
        (!ciphertext.is_empty() && ciphertext.len().is_multiple_of(BLOCK))
            .then_some(Self { ciphertext, iv })
    }

    /// The same data with another IV.
    #[must_use]
    pub fn with_iv(self, iv: [u8; BLOCK]) -> Self {
        Self { iv, ..self }
    }

    /// The decrypted JSON object, without its PKCS#7 padding.
    ///
    /// # Errors
    /// [`WrongKey`], the same for every cause.
    pub fn open(&self, session_key: &SecretString) -> Result<Map<String, Value>, WrongKey> {
        let key = Zeroizing::new(
            STANDARD
                .decode(session_key.expose_secret())
                .map_err(|_| WrongKey)?,
        );
        let plain = aes_cbc::decrypt::<Aes128>(&key, &self.iv, &self.ciphertext).ok_or(WrongKey)?;
        serde_json::from_slice(&plain).map_err(|_| WrongKey)
    }
}

/// Whether `signature` is `hex(sha1(rawData ‖ session_key as its base64 text))`, over exactly the
/// text received. Compared in constant time.
#[must_use]
pub fn is_raw_data_signature(raw_data: &str, session_key: &SecretString, signature: &str) -> bool {
    let digest = Sha1::new()
        .chain_update(raw_data)
        .chain_update(session_key.expose_secret())
        .finalize();
    let mut given = [0; 20];
    hex::decode_to_slice(signature, &mut given).is_ok()
        && bool::from(digest.as_slice().ct_eq(&given))
}

/// `hex(HMAC-SHA256(key = session_key as its base64 text, message))`: the signature that
/// checkSessionKey and similar interfaces take. The key is its base64 text; decoding it first is
/// the classic mistake.
#[must_use]
pub fn session_signature(session_key: &SecretString, message: &[u8]) -> String {
    let mac = hmac_sha256(session_key.expose_secret().as_bytes());
    hex::encode(mac.chain_update(message).finalize().into_bytes())
}

#[cfg(test)]
mod tests;
