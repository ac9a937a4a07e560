//! Moving a session on with its refresh token.

use thiserror::Error;

use super::{Session, SessionError, Sessions, row::session_key};
use crate::{
    auth::RefreshToken,
    dynamo::{self, Condition, DynamoError, Update, WriteOutcome},
    ids::{SessionId, UserId},
};

/// Why a refresh token does not get a successor.
#[derive(Debug, Error)]
pub enum RotateError {
    /// Not ours, or of a session that has expired.
    #[error("not a refresh token of a living session")]
    Invalid,
    /// Used before, outside the grace window. The session is revoked now.
    #[error("the refresh token was used before")]
    Reused {
        /// The session's user.
        user: UserId,
        /// The session, revoked by now.
        session: SessionId,
    },
    /// The session was revoked.
    #[error("the session was revoked")]
    Revoked,
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

/// How moving a session's counter on ended.
enum Advance {
    /// The session, one step further.
    Advanced(Session),
    /// The counter is not where the token says, or the session has ended: its row, if there is one.
    Stale(Option<Session>),
}

impl Sessions {
    /// The session of a refresh token, one step further: one conditional write.
    ///
    /// The token one step behind gets the same successor again within the grace window; an older
    /// one revokes the session, because either its thief or its owner must have used it before.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate(&self, token: &RefreshToken) -> Result<Session, RotateError> {
        match self.advance(token).await? {
            Advance::Advanced(session) => Ok(session),
            Advance::Stale(current) => self.handle_stale_token(token, current).await,
        }
    }

    /// Moves the counter on if it stands where the token says.
    async fn advance(&self, token: &RefreshToken) -> Result<Advance, DynamoError> {
        let now = self.clock.now();
        let condition = Condition::new(
            "#counter = :counter AND attribute_not_exists(revokedAt) AND #ttl > :seconds",
        );
        let update = Update::new(
            session_key(token.user, token.session),
            "SET #counter = :next, rotatedAt = :now, #ttl = :ttl",
            condition,
        );
        let update = update
            .name("#counter", "counter")
            .name("#ttl", "ttl")
            .value(":counter", dynamo::number(token.counter))
            .value(":next", dynamo::number(token.counter.saturating_add(1)))
            .value(":now", dynamo::string(now.to_string()))
            .value(":seconds", dynamo::number(now.as_second()))
            .value(":ttl", dynamo::number(self.expires_at(now)))
            .returning_new()
            .returning_old_on_failure();
        Ok(match self.dynamo.update(update).await? {
            WriteOutcome::Written(row) => Advance::Advanced(Session::from_item(row)?),
            WriteOutcome::ConditionFailed(row) => {
                Advance::Stale(row.map(Session::from_item).transpose()?)
            }
        })
    }

    /// What a token gets that is not the current one of its session.
    async fn handle_stale_token(
        &self,
        token: &RefreshToken,
        current: Option<Session>,
    ) -> Result<Session, RotateError> {
        let Some(current) = current else {
            return Err(RotateError::Invalid);
        };
        if current.revoked_at.is_some() {
            return Err(RotateError::Revoked);
        }
        // Expired, or from a future that a restored backup does not know.
        if !self.is_living(&current) || token.counter > current.counter {
            return Err(RotateError::Invalid);
        }
        let one_behind = token.counter + 1 == current.counter;
        let since = self.clock.now().duration_since(current.refreshed_at);
        if one_behind
            && since <= jiff::SignedDuration::try_from(self.refresh_grace).unwrap_or_default()
        {
            return Ok(current);
        }
        match self.revoke(token.user, token.session).await {
            Err(SessionError::Dynamo(error)) => Err(error.into()),
            Ok(()) | Err(SessionError::Ended) => Err(RotateError::Reused {
                user: token.user,
                session: token.session,
            }),
        }
    }
}
