//! Who may pass: the token by CPU alone, then one round trip to the cache for all that the request needs.

use std::sync::Arc;

use thiserror::Error;

use super::{
    access_token::{Claims, TokenError},
    session::{SessionError, Sessions, session_cache_key},
    tokens::Tokens,
};
use crate::{
    cache::Cache,
    dynamo::DynamoError,
    users::{Status, User, UserError, Users, profile_cache_key},
};

/// Why a request may not pass.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The session was ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The user may do nothing.
    #[error("the user is disabled")]
    UserDisabled,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl From<SessionError> for AdmissionError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended => Self::SessionEnded,
            SessionError::Dynamo(error) => Self::Dynamo(error),
        }
    }
}

/// Checks callers. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    tokens: Arc<Tokens>,
    sessions: Sessions,
    users: Users,
    cache: Cache,
}

impl Admission {
    /// Checks by `tokens`, then by `sessions`; profiles come from `users`.
    #[must_use]
    pub fn new(tokens: Arc<Tokens>, sessions: Sessions, users: Users, cache: Cache) -> Self {
        Self { tokens, sessions, users, cache }
    }

    /// Admits the bearer of `token` (`None`: no token was sent).
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn admit(&self, token: Option<&str>) -> Result<Claims, AdmissionError> {
        let claims = self.tokens.verify(token.ok_or(TokenError::Missing)?).await?;
        let [session] = self.cache.read([&session_cache_key(claims.sid)]).await;
        self.sessions.check(claims.sub, claims.sid, session).await?;
        Ok(claims)
    }

    /// Admits the bearer of `token` and brings the profile along, in the same round trip.
    ///
    /// # Errors
    /// [`AdmissionError`]; a user who does not exist any more counts as an ended session.
    pub async fn admit_with_user(&self, token: Option<&str>) -> Result<(Claims, User), AdmissionError> {
        let claims = self.tokens.verify(token.ok_or(TokenError::Missing)?).await?;
        let keys = [session_cache_key(claims.sid), profile_cache_key(claims.sub)];
        let [session, profile] = self.cache.read([&keys[0], &keys[1]]).await;
        let session = self.sessions.check(claims.sub, claims.sid, session);
        let (session, user) = futures_util::join!(session, self.users.complete(claims.sub, profile));
        session?;
        match user {
            Ok(user) if user.status == Status::Disabled => Err(AdmissionError::UserDisabled),
            Ok(user) => Ok((claims, user)),
            Err(UserError::NotFound) => Err(AdmissionError::SessionEnded),
            Err(UserError::Dynamo(error)) => Err(error.into()),
        }
    }
}
