//! Both tokens of a session, made from its row and nothing else.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::jwk::JwkSet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use super::{
    Session,
    access_token::{AccessTokenKeys, Claims, TokenError},
    key_source::KeySource,
    refresh_token::{RefreshToken, RefreshTokenError, RefreshTokens},
};
use crate::{
    clock::Clock,
    config::{Env, TokenSettings},
    ids::AppId,
    users::Role,
};

/// What a client gets at login and refresh. Serialising is where the tokens are shown; `Debug`
/// hides them.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(description = "The tokens of a session.")
)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// The JWT.
    #[serde(rename = "token", serialize_with = "exposed")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub access: SecretString,
    /// `Bearer` (RFC 6750).
    #[cfg_attr(feature = "openapi", schemars(extend("const" = "Bearer")))]
    pub token_type: &'static str,
    /// Seconds that the access token is still valid.
    pub expires_in: i64,
    /// The refresh token.
    #[serde(rename = "refreshToken", serialize_with = "exposed")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub refresh: SecretString,
    /// Seconds that the refresh token is still valid.
    pub refresh_expires_in: i64,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// The keys of both kinds of token.
struct KeyRing {
    access: AccessTokenKeys,
    refresh: RefreshTokens,
}

impl KeyRing {
    fn new(env: &Env, settings: &TokenSettings) -> Arc<Self> {
        Arc::new(Self {
            access: AccessTokenKeys::new(settings, env),
            refresh: RefreshTokens::new(&settings.secrets),
        })
    }
}

/// Makes and checks tokens.
pub struct Tokens {
    ring: RwLock<Arc<KeyRing>>,
    source: Option<KeySource>,
    audiences: Vec<AppId>,
    issuer: String,
    access_lifetime: Duration,
    clock: Clock,
}

impl Tokens {
    /// Keys and lifetimes as `env` says; config errors are recorded in it.
    #[must_use]
    pub fn new(env: &Env, clock: Clock) -> Self {
        let settings = TokenSettings::read(env);
        Self {
            ring: RwLock::new(KeyRing::new(env, &settings)),
            source: KeySource::of(env, clock.clone()),
            audiences: settings.audiences,
            issuer: settings.issuer,
            access_lifetime: settings.access_life,
            clock,
        }
    }

    /// The mini-programs that tokens are made for, and accepted from.
    #[must_use]
    pub fn audiences(&self) -> &[AppId] {
        &self.audiences
    }

    fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks whether a key that we don't know is new. `false` where keys can't change.
    async fn look_for_new_keys(&self) -> bool {
        let Some(source) = &self.source else {
            return false;
        };
        if let Some(ring) = source
            .fetch_again(|env| KeyRing::new(env, &TokenSettings::read(env)))
            .await
        {
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        }
        // Also when another request has just fetched them.
        true
    }

    /// The tokens of `session` as it stands: the same ones each time until it is refreshed, so a
    /// repeated request gets the identical answer. `None` only without keys, which settings refuse.
    #[must_use]
    pub fn issue(&self, session: &Session, role: Role) -> Option<TokenPair> {
        let now = self.clock.now_seconds();
        let iat = session.refreshed_at.as_second();
        let exp = iat + i64::try_from(self.access_lifetime.as_secs()).unwrap_or_default();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: session.app_id.clone(),
            sub: session.user,
            sid: session.id,
            role,
            iat,
            exp,
            jti: format!("{}.{}", session.id, session.counter),
        };
        let ring = self.ring();
        let refresh = RefreshToken {
            user: session.user,
            session: session.id,
            counter: session.counter,
        };
        Some(TokenPair {
            access: ring.access.sign(&claims)?,
            token_type: "Bearer",
            expires_in: exp - now,
            refresh: ring.refresh.sign(&refresh)?,
            refresh_expires_in: session.ttl - now,
        })
    }

    /// What the access token says: locally, without I/O, unless its key is unknown and may be new.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let verify = || self.ring().access.verify(token, self.clock.now_seconds());
        match verify() {
            Err(TokenError::UnknownKey) if self.look_for_new_keys().await => verify(),
            outcome => outcome,
        }
    }

    /// What the refresh token says: locally, without I/O, unless its key is unknown and may be new.
    ///
    /// # Errors
    /// [`RefreshTokenError`] when it is not ours.
    pub async fn verify_refresh(&self, token: &str) -> Result<RefreshToken, RefreshTokenError> {
        let verify = || self.ring().refresh.verify(token);
        match verify() {
            Err(RefreshTokenError) if self.look_for_new_keys().await => verify(),
            outcome => outcome,
        }
    }

    /// The public halves of the asymmetric access token keys, for others to verify with (RFC 7517
    /// §5).
    #[must_use]
    pub fn public_keys(&self) -> JwkSet {
        self.ring().access.public_keys()
    }
}

#[cfg(test)]
mod tests;
