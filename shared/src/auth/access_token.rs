//! Access tokens: JWT (RFC 7519) with the header `typ` of RFC 9068.

mod verified;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Header, Validation, jwk::JwkSet};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use thiserror::Error;

use self::verified::{Verified, VerifiedTokens};
use super::{refresh_token::keyed_hash, signing_key::SigningKey};
use crate::{
    config::{Env, JWT_KEYS, KeyDocument, TokenSettings},
    ids::{AppId, SessionId, UserId},
    users::Role,
};

/// RFC 9068 §2.1: sets access tokens apart from all other JWTs.
const TYP: &str = "at+jwt";
/// Clocks of issuer and verifier may differ by this many seconds.
const LEEWAY: i64 = 30;
/// Longer than any token of ours; longer ones are rejected unread.
const MAX_LEN: usize = 4096;

/// What an access token says. The names are RFC 7519's and, for `sid`, OpenID Connect's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The mini-program that it is for.
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
    /// None was sent.
    #[error("no bearer token")]
    Missing,
    /// Not made by us, or not for this.
    #[error("not a token of ours")]
    Invalid,
    /// Signed by a key that is not among those we know.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// Its header demands an extension (`crit`, `b64`), and we understand none.
    #[error("the header demands an extension")]
    Extension,
    /// Valid later.
    #[error("token not valid yet")]
    NotYetValid,
    /// Valid once.
    #[error("token expired")]
    Expired,
}

/// The header parameters of extensions, whatever their values.
#[derive(Deserialize)]
struct Extensions {
    /// RFC 7515 §4.1.11: the extensions that must be understood.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    /// RFC 7797 §3: whether the payload is encoded. It is only valid together with `crit`, and not
    /// in a JWT at all (§7).
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// RFC 7519 §4.1.5. Numbers need not be whole (§2, `NumericDate`).
#[derive(Clone, Copy, Deserialize)]
struct NotBefore {
    #[serde(default, deserialize_with = "number")]
    nbf: Option<f64>,
}

/// Where the claim is there, it is a number: `null` is none.
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(value).map(Some)
}

struct Key {
    key: SigningKey,
    validation: Validation,
}

/// Signs and verifies access tokens: the first key that can sign does, all verify.
pub(super) struct AccessTokenKeys {
    keys: Vec<Key>,
    verified: VerifiedTokens,
}

impl AccessTokenKeys {
    /// Keys as `settings` say; config errors are recorded in `env`.
    pub(super) fn new(settings: &TokenSettings, env: &Env) -> Self {
        let mut keys: Vec<SigningKey> = Vec::new();
        for KeyDocument { position, id, der } in &settings.keys {
            match SigningKey::from_der(der.expose_secret(), id.as_deref()) {
                Ok(key) if is_known(&keys, &key) => {
                    let what = format!("key {position} has the kid of an earlier one");
                    JWT_KEYS.add_error(env, what);
                }
                Ok(key) => keys.push(key),
                Err(error) => JWT_KEYS.add_error(env, format!("key {position} {error}")),
            }
        }
        for secret in &settings.secrets {
            let id = hex::encode(&keyed_hash(secret, b"weapp-serverless key id v1")[..8]);
            let key = SigningKey::hs256(id, secret);
            // The same secret twice is the same key.
            if !is_known(&keys, &key) {
                keys.push(key);
            }
        }
        Self {
            keys: keys
                .into_iter()
                .map(|key| Key {
                    validation: validation(&key, settings),
                    key,
                })
                .collect(),
            verified: VerifiedTokens::default(),
        }
    }

    /// `None` only without a key that can sign, which settings refuse.
    pub(super) fn sign(&self, claims: &Claims) -> Option<SecretString> {
        let (key, sign) = self
            .keys
            .iter()
            .find_map(|key| Some((&key.key, key.key.sign.as_ref()?)))?;
        let mut header = Header::new(key.algorithm);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, claims, sign)
            .ok()
            .map(SecretString::from)
    }

    /// The public halves of the asymmetric keys (RFC 7517 §5).
    pub(super) fn public_keys(&self) -> JwkSet {
        JwkSet {
            keys: self
                .keys
                .iter()
                .filter_map(|key| key.key.jwk().cloned())
                .collect(),
        }
    }

    /// The claims of a valid token. The signature of one that was verified before is not computed
    /// again; its times are checked each time.
    pub(super) fn verify(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        if token.len() > MAX_LEN {
            return Err(TokenError::Invalid);
        }
        let digest = verified::digest(token);
        if let Some(known) = self.verified.get(&digest) {
            return known.at(now);
        }
        let verified = self.verify_signature(token)?;
        let claims = verified.at(now)?;
        self.verified.remember(digest, verified);
        Ok(claims)
    }

    /// All that does not depend on the time.
    fn verify_signature(&self, token: &str) -> Result<Verified, TokenError> {
        // The library reads `crit` and ignores it.
        let Extensions { crit, b64 } = part(token, 0).ok_or(TokenError::Invalid)?;
        if crit || b64 {
            return Err(TokenError::Extension);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.as_deref().unwrap_or_default();
        let key = self
            .keys
            .iter()
            .find(|key| key.key.id == kid)
            .ok_or(TokenError::UnknownKey)?;
        // The key decides the algorithm, never the header alone (RFC 8725 §3.1).
        if header.alg != key.key.algorithm || header.typ.as_deref() != Some(TYP) {
            return Err(TokenError::Invalid);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key.verify, &key.validation);
        Ok(Verified {
            claims: claims.map_err(|_| TokenError::Invalid)?.claims,
            not_before: part(token, 1).ok_or(TokenError::Invalid)?,
        })
    }
}

impl Verified {
    /// The claims, if the token is valid at `now`: by the injected clock, which the library does not
    /// know.
    fn at(&self, now: i64) -> Result<Claims, TokenError> {
        let NotBefore { nbf } = self.not_before;
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since the epoch are exact for millions of years"
        )]
        let latest = now.saturating_add(LEEWAY) as f64;
        if nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenError::NotYetValid);
        }
        if self.claims.exp.saturating_add(LEEWAY) < now {
            return Err(TokenError::Expired);
        }
        Ok(self.claims.clone())
    }
}

/// What one part of a token says, the header being the first; `None` if it is no such JSON object.
/// Repeated members are refused.
fn part<T: serde::de::DeserializeOwned>(token: &str, at: usize) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

fn is_known(keys: &[SigningKey], key: &SigningKey) -> bool {
    keys.iter().any(|known| known.id == key.id)
}

fn validation(key: &SigningKey, settings: &TokenSettings) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&settings.audiences);
    // By the injected clock, in `Verified::at`.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}
