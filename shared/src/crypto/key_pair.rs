//! New key pairs, for `make keys` and for tests. No function makes keys.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    error::Unspecified,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use thiserror::Error;

/// The kinds of keys that there is a use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ES256.
    P256,
    /// `EdDSA`.
    Ed25519,
    /// RS256; RSA-OAEP-256.
    Rsa2048,
}

/// No key could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no key could be made")]
pub struct KeyPairError;

impl From<Unspecified> for KeyPairError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Both halves of a new key, DER in base64.
pub struct KeyPair {
    /// PKCS#8.
    pub private: SecretString,
    /// SPKI.
    pub public: String,
}

impl KeyPair {
    /// A new key, from the library's own random generator.
    ///
    /// # Errors
    /// [`KeyPairError`] when there is no randomness.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyPairError> {
        match kind {
            KeyKind::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                Self::new(pair.to_pkcs8v1()?.as_ref(), &pair.public_key().as_der()?)
            }
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::generate()?;
                Self::new(pair.to_pkcs8v1()?.as_ref(), &pair.public_key().as_der()?)
            }
            KeyKind::Rsa2048 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let private: Pkcs8V1Der<'_> = pair.as_der()?;
                Self::new(private.as_ref(), &pair.public_key().as_der()?)
            }
        }
    }

    #[allow(
        clippy::unnecessary_wraps,
        reason = "the arms of `generate` end with it"
    )]
    fn new(private: &[u8], public: &PublicKeyX509Der<'_>) -> Result<Self, KeyPairError> {
        Ok(Self {
            private: STANDARD.encode(private).into(),
            public: STANDARD.encode(public.as_ref()),
        })
    }
}
