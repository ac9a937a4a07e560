//! Content encryption algorithms.

use aes::Aes256;
use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use sha2::Sha512;

use super::{JweError, cbc_hmac};

/// The `enc` values that are accepted (RFC 7518 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Enc {
    /// AES-256 in CBC mode, authenticated with HMAC-SHA-512.
    #[serde(rename = "A256CBC-HS512")]
    A256CbcHs512,
    /// AES-256 in GCM.
    #[serde(rename = "A256GCM")]
    A256Gcm,
}

impl Enc {
    /// All accepted algorithms.
    pub const ALL: [Self; 2] = [Self::A256CbcHs512, Self::A256Gcm];

    /// Bytes of the content key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::A256CbcHs512 => 64,
            Self::A256Gcm => 32,
        }
    }

    /// Bytes of the initialization vector.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::A256CbcHs512 => 16,
            Self::A256Gcm => 12,
        }
    }

    /// Bytes of the authentication tag.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::A256CbcHs512 => 32,
            Self::A256Gcm => 16,
        }
    }

    /// Whether a ciphertext can have this length.
    pub(super) const fn fits(self, ciphertext: usize) -> bool {
        match self {
            Self::A256CbcHs512 => ciphertext >= 16 && ciphertext.is_multiple_of(16),
            Self::A256Gcm => true,
        }
    }

    /// The ciphertext and its tag. `None` when key or IV has the wrong length.
    pub(crate) fn seal(
        self,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::A256CbcHs512 => cbc_hmac::seal::<Aes256, Sha512>(key, iv, aad, plaintext),
            Self::A256Gcm => {
                let nonce = Nonce::try_from(iv).ok()?;
                let payload = Payload {
                    msg: plaintext,
                    aad,
                };
                let mut ciphertext = Aes256Gcm::new_from_slice(key)
                    .ok()?
                    .encrypt(&nonce, payload)
                    .ok()?;
                let tag = ciphertext.split_off(ciphertext.len().checked_sub(self.tag_len())?);
                Some((ciphertext, tag))
            }
        }
    }

    /// The plaintext, if the tag authenticates ciphertext, IV and associated data under this key.
    pub(crate) fn open(
        self,
        key: &[u8],
        iv: &[u8],
        aad: &[u8],
        (ciphertext, tag): (&[u8], &[u8]),
    ) -> Result<Vec<u8>, JweError> {
        match self {
            Self::A256CbcHs512 => cbc_hmac::open::<Aes256, Sha512>(key, iv, aad, (ciphertext, tag)),
            Self::A256Gcm if tag.len() == self.tag_len() => {
                let nonce = Nonce::try_from(iv).map_err(|_| JweError)?;
                let cipher = Aes256Gcm::new_from_slice(key).map_err(|_| JweError)?;
                let both = [ciphertext, tag].concat();
                cipher
                    .decrypt(&nonce, Payload { msg: &both, aad })
                    .map_err(|_| JweError)
            }
            Self::A256Gcm => Err(JweError),
        }
    }
}
