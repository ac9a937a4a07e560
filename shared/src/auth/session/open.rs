//! Opening a session at a login.

use super::{
    KnownSession, Session, Sessions,
    known::{self, OpenSession, Place},
    later,
    list::NewestRows,
};
use crate::{
    dynamo::{Condition, DynamoError, Write, WriteOutcome},
    ids::{AppId, OpenId, SessionId, UserId},
    kv::Step,
    telemetry::OrDegraded,
    users::{Profiles, User, UserError, profile_cache_key},
};

/// The client of a login.
#[derive(Clone)]
pub struct Client {
    /// The mini-program.
    pub app_id: AppId,
    /// Who logs in, in that mini-program; nobody before WeChat has said it.
    pub open_id: Option<OpenId>,
    /// The client as it names itself.
    pub user_agent: Option<String>,
}

/// Its name in `degraded` log lines.
const WHAT: &str = "session limit";

/// A session that is stored, for which room has not been made yet.
#[must_use = "without room, the user has too many sessions"]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    user: Result<User, UserError>,
    room: Room,
    step: OpenSession,
}

/// Where a new session finds its place.
enum Room {
    Free,
    /// Instead of this one.
    Of(KnownSession),
    /// Among these.
    Among(NewestRows),
    /// They could not be read.
    Unknown,
}

impl Sessions {
    /// The first session of a new user, and the write that opens it, for the transaction that makes
    /// the user.
    ///
    /// # Errors
    /// [`DynamoError`] when it can't be written as a row.
    pub fn first(&self, user: UserId, client: Client) -> Result<(Session, Write), DynamoError> {
        let session = self.new_session(user, client);
        let write = Write::Put(session.to_item()?, Condition::absent());
        Ok((session, write))
    }

    /// Leaves for the next login what is known of the user's sessions: there is this first one only.
    /// Where something is known already, another login was faster, and knows more.
    pub async fn know_first(&self, session: &Session) {
        let Some(shared) = &self.shared else { return };
        let step = OpenSession::new(session.user, KnownSession::from(session), self.max);
        step.store_first(shared).await;
    }

    /// Opens a session; meanwhile, reads the profile and finds out whose place the session takes. No
    /// other session ends before [`Self::make_room`]: the login may still turn out not to be this
    /// user's.
    ///
    /// # Errors
    /// DynamoDB's, when the session can't be stored.
    pub async fn open(
        &self,
        profiles: &Profiles,
        user: UserId,
        client: Client,
    ) -> Result<OpenedSession, DynamoError> {
        let session = self.new_session(user, client);
        let step = OpenSession::new(user, KnownSession::from(&session), self.max);
        let (stored, (user, room)) =
            futures_util::join!(self.store(&session), self.look(profiles, user, &step));
        if let Err(error) = stored {
            self.forget_known(session.user).await;
            return Err(error);
        }
        Ok(OpenedSession {
            session,
            user,
            room,
            step,
        })
    }

    /// The profile, and the place of the new session.
    async fn look(
        &self,
        profiles: &Profiles,
        user: UserId,
        step: &OpenSession,
    ) -> (Result<User, UserError>, Room) {
        let (replies, [profile]) = self
            .states
            .store()
            .read_and_step(&[step as &dyn Step], [&profile_cache_key(user)])
            .await;
        let reply = replies.into_iter().next().flatten();
        let room = async {
            match OpenSession::place(reply.as_deref()) {
                Place::Free => Room::Free,
                Place::Of(other) => Room::Of(other),
                Place::Unknown => {
                    let rows = Box::pin(self.newest_rows(user)).await;
                    rows.or_degraded(WHAT).map_or(Room::Unknown, Room::Among)
                }
            }
        };
        futures_util::join!(profiles.complete(user, profile), room)
    }

    /// Ends those sessions that the user has too many since this one was opened. If that fails, a
    /// later login does it. Returns the session, and its user's profile.
    pub async fn make_room(&self, opened: OpenedSession) -> (Session, Result<User, UserError>) {
        let OpenedSession {
            session,
            user,
            room,
            step,
        } = opened;
        // Boxed, so that a login's future stays small.
        let made = match room {
            Room::Free | Room::Unknown => Ok(()),
            Room::Of(other) => Box::pin(self.replace(&session, other)).await,
            Room::Among(rows) => Box::pin(self.keep_to_the_limit(&session, rows, &step)).await,
        };
        if made.or_degraded(WHAT).is_none() {
            self.forget_known(session.user).await;
        }
        (session, user)
    }

    /// Forgets what is known of the user's sessions: it is not, or no longer, how they are.
    pub async fn forget_known(&self, user: UserId) {
        known::forget(self.shared.as_ref(), user, self.max).await;
    }

    /// Ends `other`, or the right one if that was refreshed since or is gone.
    async fn replace(&self, new: &Session, other: KnownSession) -> Result<(), DynamoError> {
        if self.evict(new.user, other).await? != WriteOutcome::ConditionFailed(None) {
            return Ok(());
        }
        self.forget_known(new.user).await;
        let rows = self.newest_rows(new.user).await?;
        self.end_surplus(new, rows.sessions).await.map(drop)
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
        let delete = self.delete(session.user, session.id, Condition::exists());
        let (deleted, ()) = futures_util::join!(delete, self.forget_known(session.user));
        deleted.map(drop)
    }

    fn new_session(&self, user: UserId, client: Client) -> Session {
        let now = self.clock.now();
        Session {
            id: SessionId(self.random.uuid_v7(&self.clock)),
            user,
            app_id: client.app_id,
            open_id: client.open_id,
            counter: 0,
            created_at: now,
            refreshed_at: now,
            revoked_at: None,
            ended_by: None,
            ended_by_id: None,
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
