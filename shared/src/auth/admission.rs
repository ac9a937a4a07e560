//! Admits requests: the token is checked locally, without I/O, then one round trip to the cache
//! fetches all that the request needs.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::{
    access_token::{Claims, TokenError},
    refresh_token::{RefreshToken, RefreshTokenError},
    session::{SessionError, Sessions, session_cache_key},
    tokens::Tokens,
};
use crate::{
    cache::{Cache, CacheEntry},
    dynamo::DynamoError,
    request,
    resilience::{Denied, Limiter, Limits, Ticket, rate_limit::Identity},
    users::{Profiles, Status, User, UserError, profile_cache_key},
};

/// Why a request is not admitted.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The session was ended.
    #[error("the session has ended")]
    SessionEnded,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The refresh token.
    #[error(transparent)]
    RefreshToken(#[from] RefreshTokenError),
    /// Too many requests.
    #[error(transparent)]
    Denied(#[from] Denied),
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

/// The caller, as far as the request identifies it.
#[derive(Clone, Copy, Default)]
pub struct Caller<'a> {
    /// The bearer token, if one was sent.
    pub token: Option<&'a str>,
    /// The address it comes from, if the platform says so.
    pub address: Option<IpAddr>,
}

/// What callers are checked by.
#[derive(Clone)]
pub struct AdmissionParts {
    /// Verifies their tokens.
    pub tokens: Arc<Tokens>,
    /// Says whether their sessions have ended.
    pub sessions: Sessions,
    /// Says whether they are disabled.
    pub profiles: Profiles,
    /// Where sessions and profiles are remembered.
    pub cache: Cache,
    /// Charges them for their requests.
    pub limiter: Limiter,
    /// What their requests cost.
    pub limits: Limits,
}

/// Checks callers. Cheap to clone.
#[derive(Clone)]
pub struct Admission(AdmissionParts);

impl Admission {
    /// Checks by these parts.
    #[must_use]
    pub fn new(parts: AdmissionParts) -> Self {
        Self(parts)
    }

    /// Admits a signed-in caller.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn admit(&self, caller: Caller<'_>) -> Result<Claims, AdmissionError> {
        let claims = self.identify(caller).await?;
        let ticket = self
            .0
            .limiter
            .ticket(Identity::User(claims.sub), self.0.limits.user)?;
        let [session] = self.ask(ticket, [&session_cache_key(claims.sid)]).await?;
        self.0
            .sessions
            .check(claims.sub, claims.sid, session)
            .await?;
        Ok(claims)
    }

    /// Admits a signed-in caller and brings the profile along, in the same round trip.
    ///
    /// # Errors
    /// [`AdmissionError`]; a user who no longer exists counts as an ended session.
    pub async fn admit_with_user(
        &self,
        caller: Caller<'_>,
    ) -> Result<(Claims, User), AdmissionError> {
        let claims = self.identify(caller).await?;
        let ticket = self
            .0
            .limiter
            .ticket(Identity::User(claims.sub), self.0.limits.user)?;
        let keys = [session_cache_key(claims.sid), profile_cache_key(claims.sub)];
        let [session, profile] = self.ask(ticket, [&keys[0], &keys[1]]).await?;
        let session = self.0.sessions.check(claims.sub, claims.sid, session);
        let (session, user) =
            futures_util::join!(session, self.0.profiles.complete(claims.sub, profile));
        session?;
        let user = user.map_err(|error| match error {
            UserError::NotFound => AdmissionError::SessionEnded,
            UserError::Dynamo(error) => error.into(),
        })?;
        if user.status == Status::Disabled {
            Err(AdmissionError::UserDisabled)
        } else {
            Ok((claims, user))
        }
    }

    /// Admits the bearer of a refresh token, with the user of its session.
    ///
    /// # Errors
    /// [`AdmissionError`]; a user who no longer exists has no refresh tokens.
    pub async fn admit_refresh(
        &self,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<(RefreshToken, User), AdmissionError> {
        let token = match self.0.tokens.verify_refresh(token).await {
            Ok(token) => token,
            Err(error) => {
                self.0
                    .limiter
                    .charge_address(address, self.0.limits.guest)
                    .await?;
                return Err(error.into());
            }
        };
        request::note(|notes| notes.user_id = Some(token.user.to_string()));
        let ticket = self
            .0
            .limiter
            .ticket(Identity::Session(token.session), self.0.limits.refresh)?;
        let [profile] = self.ask(ticket, [&profile_cache_key(token.user)]).await?;
        match self.0.profiles.complete(token.user, profile).await {
            Ok(user) if user.status == Status::Disabled => Err(AdmissionError::UserDisabled),
            Ok(user) => Ok((token, user)),
            Err(UserError::NotFound) => Err(RefreshTokenError.into()),
            Err(UserError::Dynamo(error)) => Err(error.into()),
        }
    }

    /// The caller's claims, checked locally, without I/O. A caller without valid ones is charged as a
    /// guest.
    async fn identify(
        &self,
        Caller { token, address }: Caller<'_>,
    ) -> Result<Claims, AdmissionError> {
        let verified = match token {
            Some(token) => self.0.tokens.verify(token).await,
            None => Err(TokenError::Missing),
        };
        match verified {
            Ok(claims) => Ok(claims),
            Err(error) => {
                self.0
                    .limiter
                    .charge_address(address, self.0.limits.guest)
                    .await?;
                Err(error.into())
            }
        }
    }

    /// Lets the ticket be paid and reads `keys`, in one round trip.
    async fn ask<const N: usize>(
        &self,
        ticket: Ticket,
        keys: [&str; N],
    ) -> Result<[CacheEntry; N], Denied> {
        let step = ticket.step();
        let (mut replies, entries) = self.0.cache.read_and_step(step.as_slice(), keys).await;
        ticket.apply(replies.pop().flatten())?;
        Ok(entries)
    }
}
