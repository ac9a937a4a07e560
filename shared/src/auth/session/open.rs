//! Opening a session at a login.

use super::{
    KnownSession, Session, Sessions,
    known::{self, OpenSession, Place},
    later,
    list::NewestRows,
};
use crate::{
    dynamo::{Condition, DynamoError, WriteOutcome},
    ids::{AppId, SessionId, UserId},
    kv::Step,
    telemetry::OrDegraded,
    users::{Profiles, User, UserError, profile_cache_key},
};

/// The client of a login.
#[derive(Clone)]
pub struct Client {
    /// The mini-program.
    pub app_id: AppId,
    /// The client as it names itself.
    pub user_agent: Option<String>,
}

impl Sessions {
    /// Opens a session of a user who has none yet.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn open_first(&self, user: UserId, client: Client) -> Result<Session, DynamoError> {
        let session = self.new_session(user, client);
        self.store(&session).await?;
        Ok(session)
    }

    /// Opens a session, reads the profile at the same time, and ends those sessions that the user
    /// then has too many.
    ///
    /// # Errors
    /// DynamoDB's, when the session can't be stored. Where only ending the other sessions fails, the
    /// next login does it.
    pub async fn open(
        &self,
        profiles: &Profiles,
        user: UserId,
        client: Client,
    ) -> Result<(Session, Result<User, UserError>), DynamoError> {
        let session = self.new_session(user, client);
        let step = OpenSession::new(user, KnownSession::from(&session), self.max);
        let (stored, (profile, rows)) =
            futures_util::join!(self.store(&session), self.make_room(profiles, user, &step));
        stored?;
        if let Some(rows) = rows.or_degraded("session limit").flatten() {
            // Boxed, so that a login's future stays small.
            Box::pin(self.keep_to_the_limit(&session, rows, &step))
                .await
                .or_degraded("session limit");
        }
        Ok((session, profile))
    }

    /// The profile; meanwhile, ends the session whose place the new one takes. The newest sessions
    /// where it is not known which that is.
    async fn make_room(
        &self,
        profiles: &Profiles,
        user: UserId,
        step: &OpenSession,
    ) -> (
        Result<User, UserError>,
        Result<Option<NewestRows>, DynamoError>,
    ) {
        let (replies, [profile]) = self
            .cache
            .read_and_step(&[step as &dyn Step], [&profile_cache_key(user)])
            .await;
        let reply = replies.into_iter().next().flatten();
        let rows = async {
            let is_known = match OpenSession::place(reply.as_deref()) {
                Place::Free => true,
                Place::Of(other) => {
                    let ended = self.evict(user, other).await?;
                    let is_ended = ended != WriteOutcome::ConditionFailed(None);
                    if !is_ended {
                        // Refreshed since, or gone: what is known is not right.
                        known::forget(self.shared.as_ref(), user, self.max).await;
                    }
                    is_ended
                }
                Place::Unknown => false,
            };
            if is_known {
                return Ok(None);
            }
            Box::pin(self.newest_rows(user)).await.map(Some)
        };
        futures_util::join!(profiles.complete(user, profile), rows)
    }

    /// Ends what is too much beside `new`, and stores what is known of the others if these are all.
    async fn keep_to_the_limit(
        &self,
        new: &Session,
        rows: NewestRows,
        step: &OpenSession,
    ) -> Result<(), DynamoError> {
        let mut living = self.end_surplus(new, rows.sessions).await?;
        living.push(KnownSession::from(new));
        if let Some(shared) = self.shared.as_ref().filter(|_| rows.are_all) {
            step.store(shared, living).await;
        }
        Ok(())
    }

    /// Takes back a session whose login did not come about; nobody has a token of it.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn discard(&self, session: &Session) -> Result<(), DynamoError> {
        self.delete(session.user, session.id, Condition::exists())
            .await
            .map(drop)
    }

    fn new_session(&self, user: UserId, client: Client) -> Session {
        let now = self.clock.now();
        Session {
            id: SessionId(self.random.uuid_v7(&self.clock)),
            user,
            app_id: client.app_id,
            counter: 0,
            created_at: now,
            refreshed_at: now,
            revoked_at: None,
            user_agent: client.user_agent,
            ttl: later(now, self.refresh_lifetime),
        }
    }

    async fn store(&self, session: &Session) -> Result<(), DynamoError> {
        let row = session.to_item()?;
        match self.dynamo.put(row, Condition::absent()).await? {
            // The id is new: a row that is there was written by the first try, whose answer was
            // lost.
            WriteOutcome::Written(_) | WriteOutcome::ConditionFailed(_) => Ok(()),
        }
    }
}
