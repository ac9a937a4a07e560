//! Ending sessions before they expire.

use std::{future::ready, pin::pin};

use futures_util::{Stream, StreamExt};

use super::{
    Revoker, SessionError, SessionState, Sessions, known, later, row::session_key,
    session_cache_key,
};
use crate::{
    dynamo::{self, Condition, DynamoError, Update, WriteOutcome},
    ids::{SessionId, UserId},
    request::deadline::LongWork,
};

/// Sessions of a user that are ended at the same time.
pub(super) const CONCURRENCY: usize = 16;

impl Sessions {
    /// Ends a session. Doing it again changes nothing, nor who ended it.
    ///
    /// # Errors
    /// [`SessionError::Ended`] when there is no such session; DynamoDB's.
    pub async fn revoke(
        &self,
        user: UserId,
        id: SessionId,
        by: Revoker,
    ) -> Result<(), SessionError> {
        let marked = self.mark_revoked(user, id, by).await;
        let key = session_cache_key(id);
        let remember = async {
            match &marked {
                Ok(()) => {
                    let state = &SessionState::Revoked;
                    self.states.store_final(&key, state).await;
                }
                // A write whose answer was lost may have happened.
                Err(_) => self.states.invalidate(&key).await,
            }
        };
        let forget = known::forget(self.shared.as_ref(), user, self.max);
        futures_util::join!(remember, forget);
        marked
    }

    /// Ends all sessions of a user. The caller's own, if one is given, only when all others have ended:
    /// after a failure it is still there for the next try.
    ///
    /// # Errors
    /// DynamoDB's, the first one: all sessions were tried, or as many as there was time for
    /// ([`LongWork`]), and the next try goes on with those that are left.
    pub async fn revoke_all(
        &self,
        user: UserId,
        own: Option<SessionId>,
        by: Revoker,
    ) -> Result<(), DynamoError> {
        let revoke = async |id| match self.revoke(user, id, by).await {
            Err(SessionError::Dynamo(error)) => Err(error),
            Ok(()) | Err(SessionError::Ended) => Ok(()),
        };
        let work = LongWork::begin();
        let revocations = self
            .living(user)
            .take_while(|_| ready(work.may_go_on()))
            .map(|session| async {
                match session?.id {
                    id if Some(id) == own => Ok(()),
                    id => revoke(id).await,
                }
            })
            .buffer_unordered(CONCURRENCY);
        first_error(revocations).await?;
        if !work.may_go_on() {
            return Err(DynamoError::out_of_time());
        }
        match own {
            Some(id) => revoke(id).await,
            None => Ok(()),
        }
    }

    /// Marks the row, which stays as long as access tokens of the session may be shown: until then a
    /// refresh is answered that the session has ended.
    async fn mark_revoked(
        &self,
        user: UserId,
        id: SessionId,
        by: Revoker,
    ) -> Result<(), SessionError> {
        let now = self.clock.now();
        let expression = match by.administrator {
            Some(_) => "SET revokedAt = :now, #ttl = :ttl, endedBy = :by, endedById = :id",
            None => "SET revokedAt = :now, #ttl = :ttl, endedBy = :by",
        };
        let update = Update::new(
            session_key(user, id),
            expression,
            Condition::new("attribute_exists(pk) AND attribute_not_exists(revokedAt)"),
        );
        let update = update
            .name("#ttl", "ttl")
            .value(":now", dynamo::string(now.to_string()))
            .value(":ttl", dynamo::number(later(now, self.access_lifetime)))
            .value(":by", dynamo::string(by.by.as_str()))
            .returning_old_on_failure();
        let update = match by.administrator {
            Some(id) => update.value(":id", dynamo::string(id.to_string())),
            None => update,
        };
        match self.dynamo.update(update).await? {
            // Marked before, or by an attempt of this call whose answer was lost.
            WriteOutcome::Written(_) | WriteOutcome::ConditionFailed(Some(_)) => Ok(()),
            WriteOutcome::ConditionFailed(None) => Err(SessionError::Ended),
        }
    }
}

/// Waits for all, also after one has failed.
pub(super) async fn first_error(
    all: impl Stream<Item = Result<(), DynamoError>>,
) -> Result<(), DynamoError> {
    let mut all = pin!(all);
    let mut first = Ok(());
    while let Some(outcome) = all.next().await {
        first = first.and(outcome);
    }
    first
}
