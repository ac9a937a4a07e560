//! Asks WeChat about what a user wants to show to others.

use thiserror::Error;

use crate::{
    auth::Claims,
    config::OnFailure,
    telemetry::{self, Scope},
    users::{IdentityError, Nickname, Users},
    wechat::{Advice, Authorized, Scene, WeChatError},
};

/// Why a text may not be shown.
#[derive(Debug, Error)]
pub enum ContentError {
    /// WeChat advises against it.
    #[error("WeChat holds the text for risky")]
    Risky,
    /// WeChat can't say, and `CONTENT_CHECK_ON_FAILURE` is `refuse`.
    #[error(transparent)]
    WeChat(#[from] WeChatError),
    /// Who asks is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// The check. Cheap to clone.
#[derive(Clone)]
pub struct ContentCheck {
    wechat: Authorized,
    users: Users,
    on_failure: OnFailure,
}

impl ContentCheck {
    /// Asks `wechat` in the name of `users`.
    #[must_use]
    pub fn new(wechat: Authorized, users: Users, on_failure: OnFailure) -> Self {
        Self {
            wechat,
            users,
            on_failure,
        }
    }

    /// Whether the caller may be called `nickname`. What WeChat wants a person to look at passes:
    /// the log tells whom to look at.
    ///
    /// # Errors
    /// [`ContentError`].
    pub async fn nickname(&self, caller: &Claims, nickname: &Nickname) -> Result<(), ContentError> {
        let open_id = self.users.open_id(caller.sub, &caller.aud).await?;
        let advice = self
            .wechat
            .check_text(&caller.aud, &open_id, Scene::Profile, nickname.as_str())
            .await;
        match advice {
            Ok(Advice::Pass) => Ok(()),
            Ok(Advice::Review) => {
                let request_id = Scope::request_id();
                tracing::warn!(audit = "content_review", user_id = %caller.sub, request_id, "WeChat advises to review a nickname");
                Ok(())
            }
            Ok(Advice::Risky) => Err(ContentError::Risky),
            Err(error) if self.on_failure == OnFailure::Allow => {
                telemetry::degraded("content check", &error);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
