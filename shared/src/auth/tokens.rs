//! Both tokens of a session, made from its row and nothing else.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use super::{
    Session,
    access_token::{AccessTokens, Claims, TokenError},
    refresh_token::{RefreshToken, RefreshTokenError, RefreshTokens},
};
use crate::{clock::Clock, config::TokenSettings, users::Role};

/// What a client gets at login and refresh. Serialising is where the tokens are told; `Debug` hides them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// The JWT.
    #[serde(rename = "token", serialize_with = "exposed")]
    pub access: SecretString,
    /// `Bearer` (RFC 6750).
    pub token_type: &'static str,
    /// Seconds that the access token is still valid.
    pub expires_in: i64,
    /// The refresh token.
    #[serde(rename = "refreshToken", serialize_with = "exposed")]
    pub refresh: SecretString,
    /// Seconds that the refresh token is still valid.
    pub refresh_expires_in: i64,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Makes and checks tokens.
pub struct Tokens {
    access: AccessTokens,
    refresh: RefreshTokens,
    issuer: String,
    access_life: Duration,
    clock: Clock,
}

impl Tokens {
    /// Keys and lives as `settings` say.
    #[must_use]
    pub fn new(settings: &TokenSettings, clock: Clock) -> Self {
        Self {
            access: AccessTokens::new(&settings.secrets, &settings.issuer, &settings.audiences),
            refresh: RefreshTokens::new(&settings.secrets),
            issuer: settings.issuer.clone(),
            access_life: settings.access_life,
            clock,
        }
    }

    /// The tokens of `session` as it stands: the same ones each time until it is refreshed, so a repeated request gets
    /// the identical answer. `None` only without keys, which settings refuse.
    #[must_use]
    pub fn issue(&self, session: &Session, role: Role) -> Option<TokenPair> {
        let now = self.clock.now_seconds();
        let iat = session.rotated_at.as_second();
        let exp = iat + i64::try_from(self.access_life.as_secs()).unwrap_or_default();
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
        let refresh = RefreshToken { user: session.user, session: session.id, counter: session.counter };
        Some(TokenPair {
            access: self.access.sign(&claims)?,
            token_type: "Bearer",
            expires_in: exp - now,
            refresh: self.refresh.sign(&refresh)?,
            refresh_expires_in: session.ttl - now,
        })
    }

    /// What the access token says, by CPU alone.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.access.verify(token, self.clock.now_seconds())
    }

    /// What the refresh token says, by CPU alone.
    ///
    /// # Errors
    /// [`RefreshTokenError`] when it is not ours.
    pub fn verify_refresh(&self, token: &str) -> Result<RefreshToken, RefreshTokenError> {
        self.refresh.verify(token)
    }
}

#[cfg(test)]
mod tests;
