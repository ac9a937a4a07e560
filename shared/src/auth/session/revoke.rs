//! Ending sessions before they expire.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Session, SessionError, SessionState, Sessions, row::session_key, session_cache_key};
use crate::{
    dynamo::{self, Condition, DynamoError, Update, WriteOutcome},
    ids::{SessionId, UserId},
};

/// Sessions revoked at the same time when a user ends all of them.
const REVOKE_CONCURRENCY: usize = 16;

impl Sessions {
    /// Ends a session. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when there is no such session; DynamoDB's.
    pub async fn revoke(&self, user: UserId, id: SessionId) -> Result<(), SessionError> {
        let marked = self.mark_revoked(user, id).await;
        if marked.is_err() {
            // A write whose answer was lost may have happened.
            self.cache.invalidate(&session_cache_key(id)).await;
        }
        marked?;
        self.cache
            .store_final(
                &session_cache_key(id),
                &SessionState::Revoked,
                self.cache_ttl,
            )
            .await;
        Ok(())
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// DynamoDB's; those not reached are still open then, and the next try goes on.
    pub async fn revoke_all(&self, user: UserId) -> Result<(), DynamoError> {
        let revoke = |session: Session| async move {
            match self.revoke(user, session.id).await {
                Err(SessionError::Dynamo(error)) => Err(error),
                Ok(()) | Err(SessionError::Ended) => Ok(()),
            }
        };
        stream::iter(self.list(user).await?)
            .map(revoke)
            .buffer_unordered(REVOKE_CONCURRENCY)
            .try_collect()
            .await
    }

    async fn mark_revoked(&self, user: UserId, id: SessionId) -> Result<(), SessionError> {
        let update = Update::new(
            session_key(user, id),
            "SET revokedAt = if_not_exists(revokedAt, :now)",
            Condition::exists(),
        );
        let update = update.value(":now", dynamo::string(self.clock.now().to_string()));
        match self.dynamo.update(update).await? {
            WriteOutcome::Written(_) => Ok(()),
            WriteOutcome::ConditionFailed(_) => Err(SessionError::Ended),
        }
    }
}
