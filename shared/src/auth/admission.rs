//! Admits requests: the token is checked locally, without I/O, then one round trip to the cache
//! fetches all that the request needs.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::{
    access_token::{Claims, TokenError},
    living_sessions::LivingSessions,
    refresh_token::{RefreshToken, RefreshTokenError},
    session::{SessionError, Sessions, session_cache_key},
    tokens::Tokens,
};
use crate::{
    cache::{Cache, CacheEntry},
    clock::Clock,
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
    /// Says how long ago a session was seen alive.
    pub clock: Clock,
}

/// Checks callers. Cheap to clone.
///
/// A user is charged only for requests of living sessions, so that a token of an ended one can't
/// use up its owner's limit. A session that this instance saw alive within the last seconds is
/// trusted to be so still: its user is charged in the round trip that reads the session, and gets
/// the charge back if it has ended after all. Any other session is first charged itself, and the
/// user in a second round trip once it is known to live. A request of an ended session is charged
/// to its address.
#[derive(Clone)]
pub struct Admission {
    parts: AdmissionParts,
    living: Arc<LivingSessions>,
}

/// What a request was charged before its session was looked at.
enum Opening {
    /// The session.
    Session,
    /// The user, with the reply to that step.
    User(Ticket, Option<Vec<i64>>),
}

impl Admission {
    /// Checks by these parts.
    #[must_use]
    pub fn new(parts: AdmissionParts) -> Self {
        let living = Arc::new(LivingSessions::new(parts.clock.clone()));
        Self { parts, living }
    }

    /// Admits a signed-in caller, a disabled one too.
    ///
    /// # Errors
    /// [`AdmissionError`]; a user who no longer exists, or whose account is being deleted, counts as
    /// an ended session.
    pub async fn admit(&self, caller: Caller<'_>) -> Result<Claims, AdmissionError> {
        let (claims, _) = self.admit_any(caller).await?;
        Ok(claims)
    }

    /// Admits a signed-in caller and brings the profile along, in the same round trip.
    ///
    /// # Errors
    /// [`AdmissionError`]; a user who no longer exists, or whose account is being deleted, counts as
    /// an ended session.
    pub async fn admit_with_user(
        &self,
        caller: Caller<'_>,
    ) -> Result<(Claims, User), AdmissionError> {
        let (claims, user) = self.admit_any(caller).await?;
        if user.status == Status::Disabled {
            Err(AdmissionError::UserDisabled)
        } else {
            Ok((claims, user))
        }
    }

    /// The claims of a token that [`Self::admit_with_user`] has refused with
    /// [`AdmissionError::SessionEnded`], and charged for: it is signed and has not expired.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn claims_of_ended(&self, caller: Caller<'_>) -> Result<Claims, AdmissionError> {
        let token = caller.token.ok_or(TokenError::Missing)?;
        Ok(self.parts.tokens.verify(token).await?)
    }

    async fn admit_any(&self, caller: Caller<'_>) -> Result<(Claims, User), AdmissionError> {
        let claims = self.identify(caller).await?;
        let keys = [session_cache_key(claims.sid), profile_cache_key(claims.sub)];
        let (opening, entries) = self.open(&claims, [&keys[0], &keys[1]]).await?;
        let outcome = self.complete(&claims, entries).await;
        let user = self.settle(&claims, caller, opening, outcome).await?;
        Ok((claims, user))
    }

    /// The user of these claims, if their session lives, from what was found in the cache.
    async fn complete(
        &self,
        claims: &Claims,
        [session, profile]: [CacheEntry; 2],
    ) -> Result<User, AdmissionError> {
        let session = async {
            let check = self.parts.sessions.check(claims.sub, claims.sid, session);
            check.await.map_err(AdmissionError::from)
        };
        let user = async {
            match self.parts.profiles.complete(claims.sub, profile).await {
                Ok(user) if user.status == Status::Barred => Err(AdmissionError::SessionEnded),
                Ok(user) => Ok(user),
                Err(UserError::NotFound) => Err(AdmissionError::SessionEnded),
                Err(UserError::Dynamo(error)) => Err(error.into()),
            }
        };
        // Of an ended session, no profile is loaded.
        futures_util::try_join!(session, user).map(|((), user)| user)
    }

    /// Who the bearer of `token` is, by the same checks as [`Self::admit_with_user`], without a charge:
    /// for answers that others cache, so that requests can't be counted by them.
    ///
    /// # Errors
    /// [`AdmissionError`], but never [`AdmissionError::Denied`].
    pub async fn inspect(&self, token: Option<&str>) -> Result<(Claims, User), AdmissionError> {
        let Self { parts, .. } = self;
        let claims = parts
            .tokens
            .verify(token.ok_or(TokenError::Missing)?)
            .await?;
        let keys = [session_cache_key(claims.sid), profile_cache_key(claims.sub)];
        let entries = parts.cache.read([&keys[0], &keys[1]]).await;
        let user = self.complete(&claims, entries).await?;
        if user.status == Status::Disabled {
            return Err(AdmissionError::UserDisabled);
        }
        Ok((claims, user))
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
        let token = match self.parts.tokens.verify_refresh(token).await {
            Ok(token) => token,
            Err(error) => {
                self.charge_guest(address).await?;
                return Err(error.into());
            }
        };
        request::note(|notes| notes.user_id = Some(token.user));
        let ticket = self
            .parts
            .limiter
            .ticket(Identity::Session(token.session), self.parts.limits.refresh)?;
        let (reply, [profile]) = self.read(&ticket, [&profile_cache_key(token.user)]).await;
        ticket.apply(reply)?;
        match self.parts.profiles.complete(token.user, profile).await {
            Ok(user) => match user.status {
                Status::Active => Ok((token, user)),
                Status::Disabled => Err(AdmissionError::UserDisabled),
                Status::Barred => Err(RefreshTokenError.into()),
            },
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
            Some(token) => self.parts.tokens.verify(token).await,
            None => Err(TokenError::Missing),
        };
        match verified {
            Ok(claims) => Ok(claims),
            Err(error) => {
                self.charge_guest(address).await?;
                Err(error.into())
            }
        }
    }

    /// Charges the client at `address` for a request that names no caller: one that is refused
    /// before its token is known.
    ///
    /// # Errors
    /// [`Denied`] when the address exceeds the limit.
    pub async fn charge_guest(&self, address: Option<IpAddr>) -> Result<(), Denied> {
        let Self { parts, .. } = self;
        parts
            .limiter
            .charge_address(address, parts.limits.guest)
            .await
    }

    /// Reads `keys` and makes the first charge, in one round trip.
    async fn open<const N: usize>(
        &self,
        claims: &Claims,
        keys: [&str; N],
    ) -> Result<(Opening, [CacheEntry; N]), Denied> {
        let AdmissionParts {
            limiter, limits, ..
        } = &self.parts;
        if self.living.contains(claims.sid) {
            let ticket = limiter.ticket(Identity::User(claims.sub), limits.user)?;
            let (reply, entries) = self.read(&ticket, keys).await;
            return Ok((Opening::User(ticket, reply), entries));
        }
        let ticket = limiter.ticket(Identity::Session(claims.sid), limits.session)?;
        let (reply, entries) = self.read(&ticket, keys).await;
        ticket.apply(reply)?;
        Ok((Opening::Session, entries))
    }

    /// Makes the charges that follow from what was found of the session.
    async fn settle<T>(
        &self,
        claims: &Claims,
        caller: Caller<'_>,
        opening: Opening,
        outcome: Result<T, AdmissionError>,
    ) -> Result<T, AdmissionError> {
        let AdmissionParts {
            limiter, limits, ..
        } = &self.parts;
        match outcome {
            Ok(found) => {
                self.living.remember(claims.sid);
                match opening {
                    Opening::User(ticket, reply) => ticket.apply(reply)?,
                    Opening::Session => {
                        let user = Identity::User(claims.sub);
                        limiter.charge(user, limits.user).await?;
                    }
                }
                Ok(found)
            }
            Err(AdmissionError::SessionEnded) => {
                self.living.forget(claims.sid);
                if let Opening::User(ticket, reply) = opening {
                    ticket.refund(reply).await;
                }
                self.charge_guest(caller.address).await?;
                Err(AdmissionError::SessionEnded)
            }
            Err(error) => Err(error),
        }
    }

    /// Runs the ticket's step and reads `keys`, in one round trip.
    async fn read<const N: usize>(
        &self,
        ticket: &Ticket,
        keys: [&str; N],
    ) -> (Option<Vec<i64>>, [CacheEntry; N]) {
        let step = ticket.step();
        let (mut replies, entries) = self.parts.cache.read_and_step(step.as_slice(), keys).await;
        (replies.pop().flatten(), entries)
    }
}
