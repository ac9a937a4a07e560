//! A user has a limited number of sessions, and of rows that record them.

use std::cmp::Reverse;

use futures_util::{StreamExt, stream};

use super::{
    KnownSession, Session, SessionState, Sessions,
    revoke::{CONCURRENCY, first_error},
    row::session_key,
    session_cache_key,
};
use crate::{
    dynamo::{self, Condition, DynamoError, WriteOutcome},
    ids::{SessionId, UserId},
};

impl Sessions {
    /// Ends the sessions that the user has too many beside `new`, and deletes old rows, so that
    /// however often somebody logs in, reading a user's sessions stays cheap. `rows` are the newest
    /// ones, as [`Self::newest_rows`] reads them. Returns the other sessions that live on.
    ///
    /// Logins at the same time may not see each other's sessions; the next one that reads them does.
    pub(super) async fn end_surplus(
        &self,
        new: &Session,
        rows: Vec<Session>,
    ) -> Result<Vec<KnownSession>, DynamoError> {
        let others = rows.into_iter().filter(|session| session.id != new.id);
        let (mut living, mut ended): (Vec<_>, Vec<_>) =
            others.partition(|session| self.is_living(session));
        let surplus = take_surplus(&mut living, &mut ended, self.max);
        let removals = stream::iter(surplus)
            .map(|session| self.remove(session))
            .buffer_unordered(CONCURRENCY);
        first_error(removals).await?;
        Ok(living.iter().map(KnownSession::from).collect())
    }

    async fn remove(&self, session: Session) -> Result<(), DynamoError> {
        if self.is_living(&session) {
            let evicted = self.evict(session.user, KnownSession::from(&session));
            evicted.await.map(drop)
        } else {
            self.delete(session.user, session.id, Condition::exists())
                .await
                .map(drop)
        }
    }

    /// Ends a session by deleting its row, unless it was refreshed since it was read. A session
    /// without a row has ended, and leaves nothing to read.
    pub(super) async fn evict(
        &self,
        user: UserId,
        session: KnownSession,
    ) -> Result<WriteOutcome, DynamoError> {
        let read = dynamo::string(session.refreshed_at.to_string());
        let not_refreshed = Condition::new("rotatedAt = :read").value(":read", read);
        let deleted = self.delete(user, session.id, not_refreshed).await;
        let key = session_cache_key(session.id);
        if let Ok(WriteOutcome::Written(_)) = deleted {
            self.states.store_final(&key, &SessionState::Revoked).await;
        } else {
            // The row may be gone nevertheless: only the answer was lost.
            self.states.invalidate(&key).await;
        }
        deleted
    }

    pub(super) async fn delete(
        &self,
        user: UserId,
        session: SessionId,
        condition: Condition,
    ) -> Result<WriteOutcome, DynamoError> {
        self.dynamo
            .delete(session_key(user, session), condition)
            .await
    }
}

/// Takes away what is too much where `max` sessions may live, one of which is new and not among
/// these: of the living ones those refreshed first, of the ended ones, whose rows DynamoDB deletes
/// only days after they have expired, those opened first.
fn take_surplus(living: &mut Vec<Session>, ended: &mut Vec<Session>, max: usize) -> Vec<Session> {
    living.sort_by_key(|session| Reverse((session.refreshed_at, session.id.0)));
    ended.sort_by_key(|session| Reverse(session.id.0));
    let mut surplus = living.split_off(living.len().min(max.saturating_sub(1)));
    surplus.extend(ended.split_off(ended.len().min(max)));
    surplus
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{SessionId, UserId};

    fn session(id: u128, refreshed_at: i64) -> Session {
        let refreshed_at = jiff::Timestamp::from_second(refreshed_at).unwrap();
        Session {
            id: SessionId(Uuid::from_u128(id)),
            user: UserId(Uuid::from_u128(1)),
            app_id: "wx1".parse().unwrap(),
            open_id: None,
            counter: 0,
            created_at: refreshed_at,
            refreshed_at,
            revoked_at: None,
            ended_by: None,
            ended_by_id: None,
            user_agent: None,
            ttl: 0,
        }
    }

    fn ids(sessions: &[Session]) -> Vec<u128> {
        let mut ids: Vec<_> = sessions
            .iter()
            .map(|session| session.id.0.as_u128())
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_sessions_refreshed_first_are_too_many() {
        let living = || {
            vec![
                session(1, 40),
                session(2, 10),
                session(3, 30),
                session(4, 20),
            ]
        };
        let ended = |max| ids(&take_surplus(&mut living(), &mut Vec::new(), max));
        assert_eq!(ended(5), Vec::<u128>::new());
        assert_eq!(ended(4), [2]);
        assert_eq!(ended(3), [2, 4]);
        assert_eq!(ended(1), [1, 2, 3, 4]);
    }

    #[test]
    fn of_sessions_refreshed_at_the_same_time_the_oldest_is_too_many() {
        let mut living = vec![session(7, 10), session(5, 10), session(6, 10)];
        let surplus = take_surplus(&mut living, &mut Vec::new(), 3);
        assert_eq!((ids(&surplus), ids(&living)), (vec![5], vec![6, 7]));
    }

    #[test]
    fn as_many_ended_sessions_as_may_live_keep_their_rows() {
        let ended = || vec![session(3, 0), session(2, 9), session(1, 5)];
        let deleted = |max| ids(&take_surplus(&mut Vec::new(), &mut ended(), max));
        assert_eq!(deleted(3), Vec::<u128>::new());
        assert_eq!(deleted(1), [1, 2]);
    }
}
