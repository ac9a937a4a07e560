//! Opening a session at a login.

use super::{Session, Sessions, TakeSlot, later};
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
        let slot = TakeSlot::new(user, self.max);
        let (stored, (profile, others)) =
            futures_util::join!(self.store(&session), self.look(profiles, user, &slot));
        stored?;
        if let Some(others) = others.or_degraded("session limit").flatten() {
            // Boxed, as the query is, so that a login's future stays small.
            Box::pin(self.keep_to_the_limit(&session, others, &slot)).await;
        }
        Ok((session, profile))
    }

    /// The profile and, unless one of the user's sessions is known to be free, the newest sessions.
    async fn look(
        &self,
        profiles: &Profiles,
        user: UserId,
        slot: &TakeSlot,
    ) -> (
        Result<User, UserError>,
        Result<Option<Vec<Session>>, DynamoError>,
    ) {
        let (replies, [profile]) = self
            .cache
            .read_and_step(&[slot as &dyn Step], [&profile_cache_key(user)])
            .await;
        let reply = replies.into_iter().next().flatten();
        let others = async {
            if TakeSlot::was_free(reply.as_deref()) {
                return Ok(None);
            }
            Box::pin(self.newest_rows(user)).await.map(Some)
        };
        futures_util::join!(profiles.complete(user, profile), others)
    }

    /// Ends what is too much beside `new`, and stores how many sessions are free then.
    async fn keep_to_the_limit(&self, new: &Session, rows: Vec<Session>, slot: &TakeSlot) {
        let others = rows.iter().filter(|session| session.id != new.id);
        let living = 1 + others.filter(|session| self.is_living(session)).count();
        let free = self.max.saturating_sub(living);
        let store = async {
            if let Some(shared) = &self.shared {
                slot.store(shared, free).await;
            }
        };
        let (ended, ()) = futures_util::join!(self.end_surplus(new, rows), store);
        ended.or_degraded("session limit");
    }

    /// Takes back a session whose login did not come about; nobody has a token of it.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn discard(&self, session: &Session) -> Result<(), DynamoError> {
        self.delete(session, Condition::exists()).await.map(drop)
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
