//! RSA keys that wrap content keys: RSAES-OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017 §7.1, RFC
//! 7518 §4.3).
//!
//! Private-key operations run in aws-lc-rs, whose timing does not depend on the key. The `rsa`
//! crate, whose timing may (RUSTSEC-2023-0071), handles public keys only.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{SeedableRng, rngs::StdRng};
use rsa::{BoxedUint, pkcs8::DecodePublicKey, traits::PublicKeyParts};
use secrecy::{ExposeSecretMut, SecretSlice, zeroize::Zeroize};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use crate::random::Random;

/// Shorter keys are too weak (NIST SP 800-57), longer ones too slow to be used for each request.
const BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key that can't be used. The text reveals nothing of the key.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("is not an RSA key of 2048 to 4096 bits (PKCS#8, DER)")]
pub struct KeyError;

/// A private key, and the id (`kid`) that clients refer to it by.
pub struct TransportKey {
    kid: String,
    private: OaepPrivateDecryptingKey,
    public: PublicKey,
}

impl TransportKey {
    /// From PKCS#8 (RFC 5958) in DER.
    ///
    /// # Errors
    /// [`KeyError`] when it is not an RSA key, or has the wrong size.
    pub fn from_pkcs8(kid: &str, der: &[u8]) -> Result<Self, KeyError> {
        Self::new(
            kid,
            PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError)?,
        )
    }

    /// A new key of 2048 bits. Its randomness comes from aws-lc, not from an injected source.
    ///
    /// # Errors
    /// [`KeyError`] when the library fails, for which there is no known cause.
    pub fn generate(kid: &str) -> Result<Self, KeyError> {
        Self::new(
            kid,
            PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| KeyError)?,
        )
    }

    fn new(kid: &str, private: PrivateDecryptingKey) -> Result<Self, KeyError> {
        if !BITS.contains(&private.key_size_bits()) {
            return Err(KeyError);
        }
        let public: PublicKeyX509Der<'_> = private.public_key().as_der().map_err(|_| KeyError)?;
        let public = rsa::PublicKey::from_public_key_der(public.as_ref()).map_err(|_| KeyError)?;
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| KeyError)?;
        Ok(Self {
            kid: kid.to_owned(),
            private,
            public: PublicKey(public),
        })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The length in bytes of a content key wrapped with this key: that of the modulus.
    #[must_use]
    pub fn wrapped_len(&self) -> usize {
        self.private.key_size_bytes()
    }

    /// The key that was wrapped with the public key; `None` for anything else. A client must not
    /// learn which of the two it was (RFC 7516 §11.5).
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<SecretSlice<u8>> {
        let mut buffer = SecretSlice::from(vec![0; self.private.min_output_size()]);
        let buffer = buffer.expose_secret_mut();
        let key = self
            .private
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, buffer, None)
            .ok()?;
        Some(SecretSlice::from(key.to_vec()))
    }
}

/// All accepted keys: clients are offered the first, all of them unwrap, so that keys can be
/// rotated.
#[derive(Default)]
pub struct TransportKeys(pub Vec<TransportKey>);

impl TransportKeys {
    /// The key that clients should use.
    #[must_use]
    pub fn first(&self) -> Option<&TransportKey> {
        self.0.first()
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&TransportKey> {
        self.0.iter().find(|key| key.kid == kid)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(rsa::PublicKey);

impl PublicKey {
    /// From a JWK.
    ///
    /// # Errors
    /// [`KeyError`] when it is not an RSA key, or has the wrong size.
    pub fn from_jwk(jwk: &RsaJwk) -> Result<Self, KeyError> {
        let number = |text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .map(|bytes| BoxedUint::from_be_slice_vartime(&bytes))
        };
        let (n, e) = (
            number(&jwk.n).ok_or(KeyError)?,
            number(&jwk.e).ok_or(KeyError)?,
        );
        if jwk.kty != "RSA" || !BITS.contains(&(n.bit_width_vartime() as usize)) {
            return Err(KeyError);
        }
        rsa::PublicKey::new(n, e).map(Self).map_err(|_| KeyError)
    }

    /// As JWK (RFC 7518 §6.3.1).
    #[must_use]
    pub fn jwk(&self, kid: &str) -> RsaJwk {
        RsaJwk {
            kty: "RSA".to_owned(),
            r#use: "enc".to_owned(),
            alg: "RSA-OAEP-256".to_owned(),
            kid: kid.to_owned(),
            n: URL_SAFE_NO_PAD.encode(self.0.n_bytes()),
            e: URL_SAFE_NO_PAD.encode(self.0.e_bytes()),
        }
    }

    /// Encrypts `key` for the holder of the private key. `None` when it is too long for this
    /// modulus.
    #[must_use]
    pub fn wrap(&self, key: &[u8], random: &Random) -> Option<Vec<u8>> {
        let mut seed = random.bytes();
        let mut rng = StdRng::from_seed(seed);
        seed.zeroize();
        self.0
            .oaep_encrypt_with_rng::<Sha256, _>(&mut rng, key)
            .ok()
    }
}

/// A public RSA key as JWK (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RsaJwk {
    kty: String,
    r#use: String,
    alg: String,
    /// The id for the JWE's header.
    pub kid: String,
    n: String,
    e: String,
}

#[cfg(test)]
mod tests;
