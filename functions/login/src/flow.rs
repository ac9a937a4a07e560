//! One login, step by step: code2Session → identity and user → session.

use std::{sync::Arc, time::Duration};

use shared::{
    api::{ApiError, Reason},
    auth::{Session, SessionError, Sessions, Tokens},
    claims::{Claim, ClaimOutcome, Claims},
    dynamo::DynamoError,
    ids::AppId,
    instance::Instance,
    request::{self, deadline},
    resilience::{Limiter, Limits},
    users::{Logins, Profiles, Resolved, Status, User, UserError, WeChatLogin},
    values::OneTimeCode,
    wechat::{WeChat, WeChatError},
};

use crate::claims::{Failure, LoginOutcome, Opened, login_claims, login_key};

/// The minimum time for storing a login that WeChat has accepted, even when the request has less
/// left: its code is used up, and a retry with it then finds the session.
const FINISH: Duration = Duration::from_secs(4);

/// A successful login.
pub struct LoggedIn {
    pub session: Session,
    pub user: User,
    pub is_new: bool,
}

/// The dependencies of a login.
pub struct Login {
    pub tokens: Arc<Tokens>,
    pub limiter: Limiter,
    pub limits: Limits,
    pub wechat: Arc<WeChat>,
    logins: Logins,
    profiles: Profiles,
    sessions: Sessions,
    claims: Claims<LoginOutcome>,
}

impl Login {
    pub fn new(instance: &Instance) -> Self {
        Self {
            tokens: instance.tokens(),
            limiter: instance.limiter(),
            limits: instance.limits(),
            wechat: instance.wechat(),
            logins: instance.logins(),
            profiles: instance.profiles(),
            sessions: instance.sessions(),
            claims: login_claims(instance),
        }
    }

    pub fn app(&self, named: Option<&str>) -> Option<&AppId> {
        self.wechat.app(named)
    }

    /// Logs in with a code; a repeated or concurrent call with the same code gets the same session.
    pub async fn log_in_once(
        self: &Arc<Self>,
        app_id: &AppId,
        code: OneTimeCode,
        agent: Option<String>,
    ) -> Result<LoggedIn, ApiError> {
        match self.claims.claim_or_wait(&login_key(app_id, &code)).await {
            ClaimOutcome::Claimed(claim) => {
                let (login, app_id) = (Arc::clone(self), app_id.clone());
                // When a caller disconnects, its request is dropped, but WeChat may have accepted
                // the code: a task finishes the login, so that a retry finds the session.
                let attempt = async move { login.run_claimed(claim, &app_id, &code, agent).await };
                request::run_to_end(attempt)
                    .await
                    .map_err(|error| ApiError::new(Reason::Internal).because(&error))?
            }
            ClaimOutcome::Completed(LoginOutcome::Opened(opened)) => self.repeat(opened).await,
            ClaimOutcome::Completed(LoginOutcome::Failed(failure)) => {
                Err(ApiError::new(failure.reason()))
            }
            ClaimOutcome::InProgress => Err(Reason::UpstreamTimeout.into()),
        }
    }

    async fn run_claimed(
        &self,
        claim: Claim<LoginOutcome>,
        app_id: &AppId,
        code: &OneTimeCode,
        agent: Option<String>,
    ) -> Result<LoggedIn, ApiError> {
        let (result, outcome) = self.first(app_id, code, agent).await;
        let end = async {
            match outcome {
                Some(outcome) => claim.complete(&outcome).await,
                None => claim.release().await,
            }
        };
        deadline::at_least(FINISH, end).await;
        result
    }

    /// The first login with this code. Also returns the outcome for later logins with it; `None` if
    /// they may try the code themselves.
    async fn first(
        &self,
        app_id: &AppId,
        code: &OneTimeCode,
        agent: Option<String>,
    ) -> (Result<LoggedIn, ApiError>, Option<LoginOutcome>) {
        let identity = match self.wechat.code_to_session(app_id, code).await {
            Ok(identity) => identity,
            Err(error) => {
                let outcome = Failure::of(&error).map(LoginOutcome::Failed);
                return (Err(error.into()), outcome);
            }
        };
        let login = WeChatLogin {
            app_id: app_id.clone(),
            open_id: identity.open_id,
            union_id: identity.union_id,
            session_key: identity.session_key,
        };
        match deadline::at_least(FINISH, self.open(&login, agent)).await {
            Ok(opened) => {
                let (user, session, is_new) = (opened.user.id, opened.session.id, opened.is_new);
                (
                    Ok(opened),
                    Some(LoginOutcome::Opened(Opened {
                        user,
                        session,
                        is_new,
                    })),
                )
            }
            Err(error) if error.reason() == Reason::UserDisabled => (
                Err(error),
                Some(LoginOutcome::Failed(Failure::UserDisabled)),
            ),
            // WeChat has accepted the code, so a retry needs a new one.
            Err(error) => (Err(error), Some(LoginOutcome::Failed(Failure::CodeUsed))),
        }
    }

    async fn open(&self, login: &WeChatLogin, agent: Option<String>) -> Result<LoggedIn, ApiError> {
        let app_id = login.app_id.clone();
        let (user, session, is_new) = match self.logins.resolve(login).await? {
            Resolved::New(user) => {
                let session = self.sessions.open_first(user.id, app_id, agent).await?;
                (user, session, true)
            }
            Resolved::Known(id) => {
                let (user, session) = futures_util::join!(
                    self.profiles.get(id),
                    self.sessions.open(id, app_id, agent)
                );
                (user.map_err(missing_user)?, session?, false)
            }
        };
        if user.status == Status::Disabled {
            self.sessions.revoke(user.id, session.id).await?;
            return Err(Reason::UserDisabled.into());
        }
        Ok(LoggedIn {
            session,
            user,
            is_new,
        })
    }

    /// A later login with a code that opened a session: a repeated request gets the answer that it
    /// missed. Once the session was refreshed, its client has had that answer, so a caller that still has
    /// the code is another one.
    async fn repeat(&self, opened: Opened) -> Result<LoggedIn, ApiError> {
        let (session, user) = futures_util::join!(
            self.sessions.get(opened.user, opened.session),
            self.profiles.get(opened.user)
        );
        let session = session.map_err(|error| match error {
            SessionError::Ended => Reason::CodeUsed.into(),
            SessionError::Dynamo(error) => ApiError::from(error),
        })?;
        if session.counter > 0 {
            return Err(Reason::CodeUsed.into());
        }
        let user = user.map_err(missing_user)?;
        if user.status == Status::Disabled {
            return Err(Reason::UserDisabled.into());
        }
        Ok(LoggedIn {
            session,
            user,
            is_new: opened.is_new,
        })
    }
}

/// An identity without its user: the table is inconsistent, which is a server error.
fn missing_user(error: UserError) -> ApiError {
    match error {
        UserError::NotFound => ApiError::new(Reason::Internal).because(&error),
        UserError::Dynamo(error) => DynamoError::into(error),
    }
}

impl Failure {
    /// What a failed code2Session means for later logins with the same code. A code that may be
    /// used up is never sent again; `None` if it certainly is not.
    fn of(error: &WeChatError) -> Option<Self> {
        match error {
            WeChatError::CodeInvalid => Some(Self::CodeInvalid),
            WeChatError::UserBlocked => Some(Self::UserBlocked),
            WeChatError::CodeUsed => Some(Self::CodeUsed),
            error if error.is_ambiguous() => Some(Self::CodeUsed),
            _ => None,
        }
    }
}
