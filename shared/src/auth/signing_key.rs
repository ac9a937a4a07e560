//! Keys of access tokens: what kind a document holds, whether it is good enough, and its public
//! half as a JWK.

use aws_lc_rs::{
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef,
    spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// RFC 8410 §3.
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// RFC 5480 §2.1.1.
const EC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 5480 §2.1.1.1, secp256r1.
const P256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8017 §A.1.
const RSA_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// 2048 bits (RFC 7518 §3.3).
const MIN_RSA_BYTES: usize = 256;

/// RFC 7638 thumbprints of keys whose private half is public.
const PUBLISHED: [&str; 6] = [
    // The examples of jwt.io: ES256, RS256.
    "19J8y7Zprt2-QKLjF2I5pVk0OELX6cY2AfaAv1LC_w8",
    "oGDmHqCJ7yzMkWEkrlZVHkvrHIyQwtlDmeq5ForUHeY",
    // RFC 7515 §A.3.
    "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
    // RFC 7517 §A.2: P-256, RSA.
    "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
    "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    // RFC 8037 §A.1.
    "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
];

/// Why a key is rejected. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum SigningKeyError {
    /// Not a key at all, or not of a kind that can sign a token.
    #[error("is neither a private key (PKCS#8) nor a public one (SPKI) of P-256, Ed25519 or RSA")]
    Unknown,
    /// Not a point of its curve, or halves that don't belong together.
    #[error("is broken")]
    Broken,
    /// Too short, or broken.
    #[error("is no sound RSA key of 2048 bits or more")]
    Rsa,
    /// Published in a tutorial or an RFC.
    #[error("is a published one")]
    Published,
}

/// A key that verifies access tokens, and signs them if its private half is here.
#[derive(Clone)]
pub(super) struct SigningKey {
    /// Its `kid` in a token's header.
    pub(super) id: String,
    /// The one algorithm that it is used with.
    pub(super) algorithm: Algorithm,
    pub(super) sign: Option<EncodingKey>,
    pub(super) verify: DecodingKey,
    jwk: Option<Jwk>,
}

impl SigningKey {
    /// HS256 under `secret`.
    pub(super) fn hs256(id: String, secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self {
            id,
            algorithm: Algorithm::HS256,
            sign: Some(EncodingKey::from_secret(secret)),
            verify: DecodingKey::from_secret(secret),
            jwk: None,
        }
    }

    /// A private key as PKCS#8 (RFC 5958) or a public one as SPKI (RFC 5280 §4.1.2.7), in DER. The
    /// kind of key decides the algorithm: ES256 for P-256, `EdDSA` for Ed25519, RS256 for RSA.
    /// Without an `id` it is called by its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub(super) fn from_der(der: &[u8], id: Option<&str>) -> Result<Self, SigningKeyError> {
        let (algorithm, sign, verify) = match PrivateKeyInfoRef::try_from(der) {
            Ok(info) => private_key(der, &info)?,
            Err(_) => public_key(der)?,
        };
        let mut jwk = Jwk::from_decoding_key(&verify, Some(algorithm))
            .map_err(|_| SigningKeyError::Broken)?;
        let thumbprint = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| SigningKeyError::Broken)?;
        if PUBLISHED.contains(&thumbprint.as_str()) {
            return Err(SigningKeyError::Published);
        }
        let id = id.map_or(thumbprint, str::to_owned);
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            id,
            algorithm,
            sign,
            verify,
            jwk: Some(jwk),
        })
    }

    /// The public half (RFC 7517); `None` of a secret.
    pub(super) fn jwk(&self) -> Option<&Jwk> {
        self.jwk.as_ref()
    }
}

type Parts = (Algorithm, Option<EncodingKey>, DecodingKey);

fn private_key(der: &[u8], info: &PrivateKeyInfoRef<'_>) -> Result<Parts, SigningKeyError> {
    let algorithm = algorithm_of(&info.algorithm)?;
    let (sign, verify) = match algorithm {
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SigningKeyError::Broken)?;
            (
                EncodingKey::from_ed_der(der),
                DecodingKey::from_ed_der(pair.public_key().as_ref()),
            )
        }
        Algorithm::ES256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
            let pair = pair.map_err(|_| SigningKeyError::Broken)?;
            (
                EncodingKey::from_ec_der(der),
                DecodingKey::from_ec_der(pair.public_key().as_ref()),
            )
        }
        _ => {
            let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| SigningKeyError::Rsa)?;
            // The library wants the inner document, RFC 8017's own form.
            (
                EncodingKey::from_rsa_der(info.private_key.as_bytes()),
                rsa_public(pair.public_key())?,
            )
        }
    };
    Ok((algorithm, Some(sign), verify))
}

fn public_key(der: &[u8]) -> Result<Parts, SigningKeyError> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| SigningKeyError::Unknown)?;
    let algorithm = algorithm_of(&info.algorithm)?;
    let raw = info
        .subject_public_key
        .as_bytes()
        .ok_or(SigningKeyError::Unknown)?;
    let verify = match algorithm {
        Algorithm::EdDSA => {
            ParsedPublicKey::new(&ED25519, raw).map_err(|_| SigningKeyError::Broken)?;
            DecodingKey::from_ed_der(raw)
        }
        Algorithm::ES256 => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, raw)
                .map_err(|_| SigningKeyError::Broken)?;
            DecodingKey::from_ec_der(raw)
        }
        _ => rsa_public(&rsa::PublicKey::from_der(raw).map_err(|_| SigningKeyError::Rsa)?)?,
    };
    Ok((algorithm, None, verify))
}

/// The one algorithm that a kind of key is used with.
fn algorithm_of(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Algorithm, SigningKeyError> {
    match identifier.oid {
        ED25519_OID => Ok(Algorithm::EdDSA),
        EC_OID if identifier.parameters_oid() == Ok(P256_OID) => Ok(Algorithm::ES256),
        RSA_OID => Ok(Algorithm::RS256),
        _ => Err(SigningKeyError::Unknown),
    }
}

fn rsa_public(key: &rsa::PublicKey) -> Result<DecodingKey, SigningKeyError> {
    let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key);
    let n = n.strip_prefix(&[0]).unwrap_or(&n);
    // The highest bit of a modulus is set.
    if n.len() < MIN_RSA_BYTES || n[0] < 0x80 && n.len() == MIN_RSA_BYTES {
        return Err(SigningKeyError::Rsa);
    }
    Ok(DecodingKey::from_rsa_raw_components(n, &e))
}

#[cfg(test)]
mod tests;
