//! Access tokens: JWT (RFC 7519) with the header `typ` of RFC 9068.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::refresh_token::keyed_hash;
use crate::{
    ids::{AppId, SessionId, UserId},
    users::Role,
};

/// RFC 9068 §2.1: tells access tokens from all other JWTs.
const TYP: &str = "at+jwt";
/// Clocks of issuer and verifier may differ by this many seconds.
const LEEWAY: i64 = 30;
/// Longer than any token of ours; what is longer is not looked at.
const MAX_LEN: usize = 4096;

/// What an access token says. The names are RFC 7519's and, for `sid`, OpenID Connect's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For which mini-program.
    pub aud: AppId,
    /// The user.
    pub sub: UserId,
    /// The session.
    pub sid: SessionId,
    /// What the user may do.
    pub role: Role,
    /// Issued at, seconds since the epoch.
    pub iat: i64,
    /// Expires at, seconds since the epoch.
    pub exp: i64,
    /// Names this token: the session and how often it was refreshed.
    pub jti: String,
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// There is none.
    #[error("no bearer token")]
    Missing,
    /// Not made by us, or not for this.
    #[error("not a token of ours")]
    Invalid,
    /// Was ours, once.
    #[error("token expired")]
    Expired,
}

struct Key {
    id: String,
    algorithm: Algorithm,
    verify: DecodingKey,
    validation: Validation,
}

/// Signs and verifies access tokens: the first key signs, all verify.
pub(super) struct AccessTokens {
    keys: Vec<Key>,
    sign: Option<EncodingKey>,
}

impl AccessTokens {
    pub(super) fn new(secrets: &[SecretString], issuer: &str, audiences: &[AppId]) -> Self {
        let key = |secret: &SecretString| {
            let algorithm = Algorithm::HS256;
            let mut validation = Validation::new(algorithm);
            validation.set_issuer(&[issuer]);
            validation.set_audience(audiences);
            // By the injected clock, below.
            validation.validate_exp = false;
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            let id = hex::encode(&keyed_hash(secret, b"weapp-serverless key id v1")[..8]);
            Key { id, algorithm, verify: DecodingKey::from_secret(secret.expose_secret().as_bytes()), validation }
        };
        let sign = secrets.first().map(|secret| EncodingKey::from_secret(secret.expose_secret().as_bytes()));
        Self { keys: secrets.iter().map(key).collect(), sign }
    }

    /// `None` only without keys, which settings refuse.
    pub(super) fn sign(&self, claims: &Claims) -> Option<SecretString> {
        let (key, sign) = (self.keys.first()?, self.sign.as_ref()?);
        let mut header = Header::new(key.algorithm);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, claims, sign).ok().map(SecretString::from)
    }

    pub(super) fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        if token.len() > MAX_LEN {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.as_deref().unwrap_or_default();
        let key = self.keys.iter().find(|key| key.id == kid).ok_or(TokenError::Invalid)?;
        // The key decides the algorithm, never the header alone (RFC 8725 §3.1).
        if header.alg != key.algorithm || header.typ.as_deref() != Some(TYP) {
            return Err(TokenError::Invalid);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verify, &key.validation);
        let claims = claims.map_err(|_| TokenError::Invalid)?.claims;
        if claims.exp + LEEWAY < now { Err(TokenError::Expired) } else { Ok(claims) }
    }
}
