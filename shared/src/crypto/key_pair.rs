//! Key generation, for `make keys` and for tests. No deployed function generates keys.

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

/// The kinds of keys in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ES256.
    P256,
    /// `EdDSA`.
    Ed25519,
    /// RS256; RSA-OAEP-256.
    Rsa2048,
}

/// Key generation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("key generation failed")]
pub struct KeyPairError;

impl From<Unspecified> for KeyPairError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// A new key pair, DER in base64.
pub struct KeyPair {
    /// PKCS#8.
    pub private: SecretString,
    /// SPKI.
    pub public: String,
}

impl KeyPair {
    /// Generates a key pair with the library's own random generator.
    ///
    /// # Errors
    /// [`KeyPairError`] when no randomness is available.
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

    #[expect(
        clippy::unnecessary_wraps,
        reason = "each arm of `generate` ends with it"
    )]
    fn new(private: &[u8], public: &PublicKeyX509Der<'_>) -> Result<Self, KeyPairError> {
        Ok(Self {
            private: STANDARD.encode(private).into(),
            public: STANDARD.encode(public.as_ref()),
        })
    }
}
