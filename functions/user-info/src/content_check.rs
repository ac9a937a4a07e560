//! Has WeChat check texts that a user shows to others.

use thiserror::Error;

use shared::{
    api::{ApiError, Reason},
    auth::Claims,
    config::{ContentCheckSettings, OnFailure},
    ids::OpenId,
    instance::Instance,
    request,
    telemetry::degraded,
    users::{Identities, IdentityError},
    values::Nickname,
    wechat::{Advice, AuthorizedWeChat, Scene, WeChatError},
};

/// Why a text may not be shown.
#[derive(Debug, Error)]
pub enum ContentError {
    /// WeChat advises against it.
    #[error("WeChat flags the text as risky")]
    Risky,
    /// The check failed, and `CONTENT_CHECK_ON_FAILURE` is `refuse`.
    #[error(transparent)]
    WeChat(#[from] WeChatError),
    /// The caller has no identity in this mini-program.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The check. Cheap to clone.
#[derive(Clone)]
pub struct ContentCheck {
    wechat: AuthorizedWeChat,
    identities: Identities,
    on_failure: OnFailure,
}

impl ContentCheck {
    /// The check, if `CONTENT_CHECK` is `on`: only then are WeChat's secrets needed.
    pub fn new(instance: &Instance) -> Option<Self> {
        let settings = ContentCheckSettings::read(instance.env());
        settings.on.then(|| Self {
            wechat: instance.wechat_authorized(),
            identities: instance.identities(),
            on_failure: settings.on_failure,
        })
    }

    async fn open_id(&self, caller: &Claims) -> Result<OpenId, IdentityError> {
        let Claims { sub, aud, sid, .. } = caller;
        self.identities.open_id(*sub, aud, *sid).await
    }

    /// Checks whether the caller may use `nickname`. A nickname that needs review passes, and
    /// its user is logged.
    ///
    /// # Errors
    /// [`ContentError`].
    pub async fn nickname(&self, caller: &Claims, nickname: &Nickname) -> Result<(), ContentError> {
        let open_id = self.open_id(caller).await?;
        let advice = self
            .wechat
            .check_text(&caller.aud, &open_id, Scene::Profile, nickname.as_str())
            .await;
        match advice {
            Ok(Advice::Pass) => Ok(()),
            Ok(Advice::Review) => {
                audit_review(caller);
                Ok(())
            }
            Ok(Advice::Risky) => Err(ContentError::Risky),
            // An account must not get around the check by making it fail.
            Err(error @ WeChatError::AccountLimited(_)) => Err(error.into()),
            Err(error) if self.on_failure == OnFailure::Allow => {
                degraded("content check", &error);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn audit_review(caller: &Claims) {
    tracing::warn!(
        audit = "content_review", user_id = %caller.sub, request_id = request::id(),
        "WeChat advises to review a nickname"
    );
}

impl From<ContentError> for ApiError {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Risky => Reason::ContentRisky.into(),
            ContentError::WeChat(error) => error.into(),
            ContentError::Identity(error) => error.into(),
        }
    }
}
