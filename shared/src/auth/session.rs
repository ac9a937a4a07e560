//! Sessions: one per login, true in DynamoDB (`USER#{uid}` / `SESSION#{sid}`), remembered in the
//! cache (`{s:sid}`).

mod known;
mod limit;
mod list;
mod open;
mod revoke;
mod rotate;
mod row;

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    cache::{Cache, CacheEntry, CachePolicy, Cached, Loading, LoadingCache},
    clock::Clock,
    config::{CacheSettings, SessionSettings},
    dynamo::{Dynamo, DynamoError},
    ids::{SessionId, UserId},
    kv::Kv,
    random::Random,
    users::rows::{session_sk, user_pk},
};

pub use known::{KnownSession, LUA as KNOWN_SESSIONS_LUA, OpenSession, Place};
pub use open::{Client, OpenedSession};
pub use rotate::RotateError;
pub use row::{EndedBy, Revoker, Session};

/// What the cache remembers of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    Active,
    Revoked,
}

impl Cached for SessionState {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Active => b"active".to_vec(),
            Self::Revoked => b"revoked".to_vec(),
        }
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        match stored {
            b"active" => Some(Self::Active),
            b"revoked" => Some(Self::Revoked),
            _ => None,
        }
    }
}

/// Where a session is cached.
#[must_use]
pub fn session_cache_key(id: SessionId) -> String {
    format!("{{s:{id}}}")
}

/// Why a session can't be used.
#[derive(Debug, Error)]
pub enum SessionError {
    /// There is no such session, or it has ended.
    #[error("the session has ended")]
    Ended,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// What sessions are made of.
pub struct SessionParts {
    /// The rows.
    pub dynamo: Dynamo,
    /// What is remembered of them.
    pub cache: Cache,
    /// What instances share, if anything: what is known of users' sessions.
    pub shared: Option<Kv>,
    /// When a session begins and ends.
    pub clock: Clock,
    /// The ids of new sessions.
    pub random: Random,
}

/// The sessions. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    dynamo: Dynamo,
    /// What is remembered of them.
    states: LoadingCache<SessionState>,
    shared: Option<Kv>,
    clock: Clock,
    random: Random,
    /// A session that is not refreshed for this long expires.
    refresh_lifetime: Duration,
    /// How long the refresh token before the current one still gets its successor.
    refresh_grace: Duration,
    /// A session that was ended is of no interest for longer: all its access tokens have expired.
    access_lifetime: Duration,
    /// Living sessions of a user.
    max: usize,
}

impl Sessions {
    /// Sessions with the lifetimes of `settings`, remembered in the cache as long as `cached` says.
    #[must_use]
    pub fn new(parts: SessionParts, settings: &SessionSettings, cached: &CacheSettings) -> Self {
        // Neither stale nor renewed: it may have been revoked.
        let policy = CachePolicy::new("session", cached.session.min(settings.access_life));
        Self {
            dynamo: parts.dynamo,
            states: LoadingCache::new(parts.cache, policy),
            shared: parts.shared,
            clock: parts.clock,
            random: parts.random,
            refresh_lifetime: settings.refresh_life,
            refresh_grace: settings.refresh_grace,
            access_lifetime: settings.access_life,
            max: settings.max,
        }
    }

    /// The session as DynamoDB has it.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when it is gone, revoked or expired; DynamoDB's.
    pub async fn get(&self, user: UserId, id: SessionId) -> Result<Session, SessionError> {
        let item = self.dynamo.get(&user_pk(user), &session_sk(id)).await?;
        let session = item
            .map(Session::from_item)
            .transpose()?
            .ok_or(SessionError::Ended)?;
        if self.is_living(&session) {
            Ok(session)
        } else {
            Err(SessionError::Ended)
        }
    }

    /// Whether the session is living, from what the cache said (`known`) or from DynamoDB.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when it is not; DynamoDB's.
    pub async fn check(
        &self,
        user: UserId,
        id: SessionId,
        known: CacheEntry,
    ) -> Result<(), SessionError> {
        let load =
            || -> Loading<'_, SessionState, DynamoError> { Box::pin(self.load_state(user, id)) };
        let state = self
            .states
            .complete(&session_cache_key(id), known, load)
            .await?;
        if state == Some(SessionState::Active) {
            Ok(())
        } else {
            Err(SessionError::Ended)
        }
    }

    /// What the cache may say of the session.
    async fn load_state(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<SessionState>, DynamoError> {
        match self.get(user, id).await {
            Ok(_) => Ok(Some(SessionState::Active)),
            Err(SessionError::Ended) => Ok(Some(SessionState::Revoked)),
            Err(SessionError::Dynamo(error)) => Err(error),
        }
    }

    fn is_living(&self, session: &Session) -> bool {
        session.revoked_at.is_none() && !self.has_expired(session)
    }

    /// DynamoDB deletes expired rows late, so every read looks for itself.
    fn has_expired(&self, session: &Session) -> bool {
        session.ttl <= self.clock.now_seconds()
    }
}

/// `now` and a lifetime, in seconds since the epoch.
fn later(now: Timestamp, lifetime: Duration) -> i64 {
    now.as_second() + i64::try_from(lifetime.as_secs()).unwrap_or_default()
}
