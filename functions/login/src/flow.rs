//! One login, step by step: code2Session → identity and user → session.

mod deletion;
mod opening;
mod phone;
mod union;

use std::{sync::Arc, time::Duration};

use shared::{
    accounts::{AccountSagas, PhoneBinding},
    api::{ApiError, Reason},
    auth::{Client, Session, SessionError, Sessions, Tokens},
    claims::{Claim, ClaimOutcome, Claims},
    dynamo::DynamoError,
    ids::AppId,
    instance::Instance,
    request::{self, deadline},
    resilience::{Limiter, Limits, Ticket},
    users::{
        Barring, Identities, Logins, Profiles, RequiredConsents, Status, User, UserError,
        WeChatLogin,
    },
    values::OneTimeCode,
    wechat::{WeChat, WeChatError},
};

#[cfg(feature = "openapi")]
pub use deletion::Pending;
pub use phone::PhoneOutcome;

use crate::{
    claims::{Failure, LoginOutcome, Opened, login_claims, login_key},
    settings::merges_by_union_id,
};

/// The minimum time for storing a login that WeChat has accepted, even when the request has less
/// left: its code is used up, and a retry with it then finds the session.
const FINISH: Duration = Duration::from_secs(4);

/// A login with a code.
pub struct Attempt {
    pub code: OneTimeCode,
    /// Whether an account that is being deleted is called back.
    pub cancel_deletion: bool,
    pub client: Client,
    /// A code of the phone number button, whose number is bound.
    pub phone_code: Option<OneTimeCode>,
}

/// A successful login.
pub struct LoggedIn {
    pub session: Session,
    pub user: User,
    pub is_new: bool,
    /// What became of the number, if the login brought one.
    pub phone: Option<Box<PhoneOutcome>>,
}

/// A new person, and their first session.
struct Newcomer {
    login: WeChatLogin,
    session: Session,
}

/// What the first login with a code leads to.
struct First {
    result: Result<LoggedIn, ApiError>,
    /// For later logins with the code; `None` if they may try it themselves.
    outcome: Option<LoginOutcome>,
    /// The person, if they are new, and their session: for their next login.
    newcomer: Option<Box<Newcomer>>,
}

impl First {
    /// Of a login that WeChat has accepted.
    fn of(opened: Result<LoggedIn, ApiError>, login: WeChatLogin) -> Self {
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let failure = match error.reason() {
                    Reason::UserDisabled => Failure::UserDisabled,
                    // The code is used up, so a retry needs a new one.
                    _ => Failure::CodeUsed,
                };
                return Self::failed(error, Some(LoginOutcome::Failed(failure)));
            }
        };
        let (user, session, is_new) = (opened.user.id, opened.session.id, opened.is_new);
        let newcomer = is_new.then(|| {
            let session = opened.session.clone();
            Box::new(Newcomer { login, session })
        });
        Self {
            outcome: Some(LoginOutcome::Opened(Opened {
                user,
                session,
                is_new,
            })),
            result: Ok(opened),
            newcomer,
        }
    }

    fn failed(error: ApiError, outcome: Option<LoginOutcome>) -> Self {
        Self {
            result: Err(error),
            outcome,
            newcomer: None,
        }
    }
}

/// How far the first try of a login came.
enum Step {
    Done(Box<LoggedIn>),
    /// A request with the same code has ended already.
    Repeated(LoginOutcome),
    /// Another request with the same code is still running. The attempt, in case that one gives up.
    InProgress(Box<Attempt>),
}

/// The dependencies of a login.
pub struct Login {
    pub tokens: Arc<Tokens>,
    pub limiter: Limiter,
    pub limits: Limits,
    pub wechat: Arc<WeChat>,
    pub required: RequiredConsents,
    pub phone: PhoneBinding,
    pub identities: Identities,
    logins: Logins,
    profiles: Profiles,
    sessions: Sessions,
    barring: Barring,
    pub sagas: AccountSagas,
    merges_by_union_id: bool,
    claims: Claims<LoginOutcome>,
}

impl Login {
    pub fn new(instance: &Instance) -> Self {
        Self {
            tokens: instance.tokens(),
            limiter: instance.limiter(),
            limits: instance.limits(),
            wechat: instance.wechat(),
            required: instance.required_consents(),
            phone: instance.phone_binding(),
            identities: instance.identities(),
            logins: instance.logins(),
            profiles: instance.profiles(),
            sessions: instance.sessions(),
            barring: instance.barring(),
            sagas: instance.account_sagas(),
            merges_by_union_id: merges_by_union_id(instance.env()),
            claims: login_claims(instance),
        }
    }

    pub fn app(&self, named: Option<&str>) -> Option<&AppId> {
        self.wechat.app(named)
    }

    /// Logs in with a code; a repeated or concurrent call with the same code gets the same session.
    pub async fn log_in(
        self: &Arc<Self>,
        attempt: Attempt,
        ticket: Ticket,
    ) -> Result<LoggedIn, ApiError> {
        let key = login_key(&attempt.client.app_id, &attempt.code);
        let (login, claim_key) = (Arc::clone(self), key.clone());
        let phone_code = attempt.phone_code.clone();
        // When a caller disconnects, its request is dropped, but it may have the claim, and WeChat
        // may have accepted the code: a task finishes the login, so that a retry finds the session.
        let first_try = to_its_end(async move {
            // Where it is known that WeChat will not be called, nothing is claimed.
            let may_call = login.wechat.guard().known_refusal().is_none();
            let claim = async {
                if may_call {
                    login.claims.try_claim(&claim_key).await
                } else {
                    ClaimOutcome::InProgress
                }
            };
            // Neither depends on the other, so both go out together.
            let (admitted, claim) = futures_util::join!(login.admit(ticket), claim);
            login.run_if_claimed(admitted, claim, attempt).await
        });
        match first_try.await? {
            Step::Done(logged_in) => Ok(*logged_in),
            // Boxed, because it is large and rare.
            Step::Repeated(outcome) => Box::pin(self.repeat(outcome, phone_code)).await,
            Step::InProgress(attempt) => self.wait_or_log_in(&key, *attempt).await,
        }
    }

    async fn run_if_claimed(
        &self,
        admitted: Result<(), ApiError>,
        claim: ClaimOutcome<LoginOutcome>,
        attempt: Attempt,
    ) -> Result<Step, ApiError> {
        match (admitted, claim) {
            (Ok(()), ClaimOutcome::Claimed(claim)) => {
                let logged_in = self.run_claimed(claim, &attempt).await?;
                Ok(Step::Done(Box::new(logged_in)))
            }
            (Ok(()), ClaimOutcome::Completed(outcome)) => Ok(Step::Repeated(outcome)),
            (Ok(()), ClaimOutcome::InProgress) => Ok(Step::InProgress(Box::new(attempt))),
            (Err(refused), ClaimOutcome::Claimed(claim)) => {
                claim.release().await;
                Err(refused)
            }
            (Err(refused), _) => Err(refused),
        }
    }

    /// Another request with the same code was first: waits for its outcome, or logs in if it gave
    /// the claim back.
    async fn wait_or_log_in(
        self: &Arc<Self>,
        key: &str,
        attempt: Attempt,
    ) -> Result<LoggedIn, ApiError> {
        match self.claims.claim_or_wait(key).await {
            ClaimOutcome::Claimed(claim) => {
                let login = Arc::clone(self);
                // Boxed, because it is large and rare.
                let work = async move { login.run_claimed(claim, &attempt).await };
                Box::pin(to_its_end(work)).await
            }
            ClaimOutcome::Completed(outcome) => self.repeat(outcome, attempt.phone_code).await,
            ClaimOutcome::InProgress => Err(Reason::UpstreamTimeout.into()),
        }
    }

    async fn run_claimed(
        &self,
        claim: Claim<LoginOutcome>,
        attempt: &Attempt,
    ) -> Result<LoggedIn, ApiError> {
        let First {
            result,
            outcome,
            newcomer,
        } = self.first(attempt).await;
        let end = async {
            match outcome {
                Some(outcome) => claim.complete(&outcome).await,
                None => claim.release().await,
            }
        };
        let leave = async {
            if let Some(newcomer) = newcomer {
                // Boxed, because most logins are not a person's first.
                Box::pin(self.leave_for_the_next(*newcomer)).await;
            }
        };
        // Boxed, so that a login's future, which is moved into its task, stays small.
        let end =
            Box::pin(async { futures_util::join!(end, leave, self.withdraw_if_barred(result)).2 });
        deadline::at_least(FINISH, end).await
    }

    /// What the next login of a new person wants to know.
    async fn leave_for_the_next(&self, Newcomer { login, session }: Newcomer) {
        futures_util::join!(
            self.logins.remember(&login, session.user),
            self.sessions.know_first(&session)
        );
    }

    /// The first login with this code.
    async fn first(&self, attempt: &Attempt) -> First {
        let Attempt {
            code,
            client,
            phone_code,
            ..
        } = attempt;
        let app_id = &client.app_id;
        let identity = match self.wechat.code_to_session(app_id, code).await {
            Ok(identity) => identity,
            Err(error) => {
                let outcome = Failure::of(&error).map(LoginOutcome::Failed);
                return First::failed(error.into(), outcome);
            }
        };
        let login = WeChatLogin {
            app_id: app_id.clone(),
            open_id: identity.open_id,
            union_id: identity.union_id,
            session_key: identity.session_key,
        };
        // Boxed: the calls to DynamoDB are most of a login's future, which is moved into its task.
        let opening = Box::pin(self.open(&login, attempt));
        let shared = async {
            let code = phone_code.as_ref()?;
            // Boxed, because most logins have no number.
            Some(Box::pin(self.shared_number(app_id, &login.open_id, code)).await)
        };
        let (opened, shared) = futures_util::join!(deadline::at_least(FINISH, opening), shared);
        let opened = match (opened, shared) {
            (Ok(opened), Some(shared)) => Ok(Box::pin(self.with_number(opened, shared)).await),
            (opened, _) => opened,
        };
        First::of(opened, login)
    }

    /// A later login with a code: a repeated request gets the answer that it missed. Once the session
    /// was refreshed, its client has had that answer, so a caller that still has the code is another
    /// one.
    async fn repeat(
        self: &Arc<Self>,
        outcome: LoginOutcome,
        phone_code: Option<OneTimeCode>,
    ) -> Result<LoggedIn, ApiError> {
        let repeated = self.repeated(outcome).await?;
        let Some(phone_code) = phone_code else {
            return Ok(repeated);
        };
        let login = Arc::clone(self);
        let with_number = async move { Ok(login.with_number_again(repeated, &phone_code).await) };
        Box::pin(to_its_end(with_number)).await
    }

    async fn repeated(&self, outcome: LoginOutcome) -> Result<LoggedIn, ApiError> {
        let opened = match outcome {
            LoginOutcome::Opened(opened) => opened,
            LoginOutcome::Failed(failure) => return Err(failure.reason().into()),
        };
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
        match user.status {
            Status::Active => Ok(LoggedIn {
                session,
                user,
                is_new: opened.is_new,
                phone: None,
            }),
            Status::Disabled => Err(Reason::UserDisabled.into()),
            Status::Barred => Err(Reason::CodeUsed.into()),
        }
    }
}

/// Runs it in a task of its own, which goes on when the request is dropped. A panic is this request's
/// error.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let crashed = |error| ApiError::new(Reason::Internal).because(&error);
    request::run_to_end(work).await.map_err(crashed)?
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
