//! Opening the session of a login that WeChat has accepted, and resolving whose it is.

use shared::{
    api::{ApiError, Reason},
    auth::{Client, OpenedSession, Revoker, Session},
    ids::UserId,
    telemetry::OrDegraded,
    users::{ExpectedUser, FirstLogin, Resolved, Status, User, UserError, WeChatLogin},
};

use super::{Attempt, LoggedIn, Login};

impl Login {
    /// A session of the account that is the person's now: one that is being deleted is called back, if
    /// the person wants that, or its deletion is completed, and the person gets a new one. A merge is
    /// completed too, and the person gets the account that survives.
    pub(super) async fn open(
        &self,
        login: &WeChatLogin,
        attempt: &Attempt,
    ) -> Result<LoggedIn, ApiError> {
        let mut opened = self.open_any(login, &attempt.client).await?;
        if opened.user.status == Status::Barred {
            self.sessions.discard(&opened.session).await?;
            // Boxed, because it is large and rare.
            let ended = self.end_bar(opened.user.id, attempt.cancel_deletion);
            Box::pin(ended).await?;
            opened = Box::pin(self.open_any(login, &attempt.client)).await?;
        }
        match opened.user.status {
            Status::Active => Ok(opened),
            Status::Disabled => {
                let (user, session) = (opened.user.id, opened.session.id);
                let by = Revoker::SERVICE;
                Box::pin(self.sessions.revoke(user, session, by)).await?;
                Err(Reason::UserDisabled.into())
            }
            // Barred anew; or by a process that was overtaken, which the next login finds mended.
            Status::Barred => {
                Box::pin(self.sessions.discard(&opened.session)).await?;
                Box::pin(self.mend(opened.user.id)).await?;
                Err(Reason::Unavailable.into())
            }
        }
    }

    async fn open_any(&self, login: &WeChatLogin, client: &Client) -> Result<LoggedIn, ApiError> {
        let client = &Client {
            open_id: Some(login.open_id.clone()),
            ..client.clone()
        };
        let expected = match self.logins.expect(login).await {
            Some(expected) => self.open_expected(login, &expected, client).await?,
            None => None,
        };
        let (user, session, is_new) = match expected {
            Some((session, user)) => (user, session, false),
            None => match self.open_resolved(login, client).await? {
                Some(resolved) => resolved,
                // Deleted since it was resolved: the person is somebody new, or the table is
                // inconsistent.
                None => Box::pin(self.open_resolved(login, client))
                    .await?
                    .ok_or(Reason::Internal)?,
            },
        };
        Ok(LoggedIn {
            session,
            user,
            is_new,
            phone: None,
        })
    }

    /// Opens a session of the user whose login it most probably is, and records the login, at the
    /// same time. `None` if it is somebody else's, or if the identity changed otherwise.
    async fn open_expected(
        &self,
        login: &WeChatLogin,
        expected: &ExpectedUser,
        client: &Client,
    ) -> Result<Option<(Session, User)>, ApiError> {
        let open = self
            .sessions
            .open(&self.profiles, expected.id, client.clone());
        let (confirmed, opened, ()) = futures_util::join!(
            self.logins.confirm(login, expected),
            open,
            self.logins.remember(login, expected.id)
        );
        if let Ok(true) = confirmed {
            return self.settle(opened?).await;
        }
        if let Ok(opened) = opened {
            // It would expire by itself, but its owner would see it in the list of sessions.
            let discarded = self.sessions.discard(&opened.session).await;
            discarded.or_degraded("a session without a login");
        }
        confirmed?;
        Ok(None)
    }

    /// `None` if the user was deleted meanwhile.
    async fn open_resolved(
        &self,
        login: &WeChatLogin,
        client: &Client,
    ) -> Result<Option<(User, Session, bool)>, ApiError> {
        let user = self.logins.new_user();
        let (session, write) = self.sessions.first(user.id, client.clone())?;
        let first = FirstLogin {
            user,
            session: write,
        };
        let known = match self.logins.resolve(login, &first).await? {
            // What the next login wants to know is left with the claim's outcome.
            Resolved::New => return Ok(Some((first.user, session, true))),
            Resolved::Known(id) => id,
            // Boxed, because it is large and rare.
            Resolved::Split(id) => Box::pin(self.join_by_union_id(login, id)).await?,
        };
        let (opened, ()) = futures_util::join!(
            self.sessions.open(&self.profiles, known, client.clone()),
            self.logins.remember(login, known)
        );
        let settled = self.settle(opened?).await?;
        Ok(settled.map(|(session, user)| (user, session, false)))
    }

    /// The session and its user, once it is certain whose login it is. `None` if the user was deleted
    /// meanwhile: then there is no session either.
    async fn settle(&self, opened: OpenedSession) -> Result<Option<(Session, User)>, ApiError> {
        let (session, user) = self.sessions.make_room(opened).await;
        match user {
            Ok(user) => Ok(Some((session, user))),
            Err(UserError::NotFound) => {
                Box::pin(self.sessions.discard(&session)).await?;
                Ok(None)
            }
            Err(UserError::Dynamo(error)) => Err(error.into()),
        }
    }

    /// A session of the account that another one was merged into, for the person of both.
    pub async fn open_merged(&self, user: UserId, client: Client) -> Result<LoggedIn, ApiError> {
        let opened = self.sessions.open(&self.profiles, user, client).await?;
        // Deleted since: the person's next login says what they have.
        let settled = self.settle(opened).await?.ok_or(Reason::SessionRevoked)?;
        let (session, user) = settled;
        let opened = LoggedIn {
            session,
            user,
            is_new: false,
            phone: None,
        };
        match opened.user.status {
            Status::Active => self.withdraw_if_barred(Ok(opened)).await,
            Status::Disabled | Status::Barred => {
                self.sessions.discard(&opened.session).await?;
                Err(Reason::SessionRevoked.into())
            }
        }
    }
}
