//! Has WeChat check a picture before it is shown.

use shared::{
    api::ApiError,
    auth::Claims,
    config::{ContentCheckSettings, OnFailure},
    ids::{AppId, OpenId},
    instance::Instance,
    telemetry::degraded,
    users::Identities,
    wechat::{AuthorizedWeChat, Scene, WeChatError},
};

/// The check.
pub struct PictureCheck {
    wechat: AuthorizedWeChat,
    identities: Identities,
    on_failure: OnFailure,
}

/// What came of asking.
pub enum Asked {
    /// The verdict comes with this id.
    Pending(String),
    /// WeChat can't be asked, and the picture may be shown unchecked.
    Unchecked,
}

impl PictureCheck {
    /// The check, if `CONTENT_CHECK` is `on`: only then are WeChat's secrets needed.
    pub fn new(instance: &Instance) -> Option<Self> {
        let settings = ContentCheckSettings::read(instance.env());
        settings.on.then(|| Self {
            wechat: instance.wechat_authorized(),
            identities: instance.identities(),
            on_failure: settings.on_failure,
        })
    }

    /// Whether a picture may be shown that WeChat could not check.
    pub fn allows_unchecked(&self) -> bool {
        self.on_failure == OnFailure::Allow
    }

    /// Whose picture it is, as WeChat knows them.
    ///
    /// # Errors
    /// The table's; or the session does not say which of the user's identities it belongs to.
    pub async fn open_id(&self, caller: &Claims) -> Result<OpenId, ApiError> {
        let open_id = self.identities.open_id(caller.sub, &caller.aud, caller.sid);
        Ok(open_id.await?)
    }

    /// Asks WeChat to check the picture at `url`.
    ///
    /// # Errors
    /// The check's, unless the picture may be shown unchecked.
    pub async fn ask(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        url: &str,
    ) -> Result<Asked, ApiError> {
        let asked = self
            .wechat
            .check_picture(app_id, open_id, Scene::Profile, url);
        match asked.await {
            Ok(trace_id) => Ok(Asked::Pending(trace_id)),
            // An account must not get around the check by making it fail.
            Err(error @ WeChatError::AccountLimited(_)) => Err(error.into()),
            Err(error) if self.allows_unchecked() => {
                degraded("content check", &error);
                Ok(Asked::Unchecked)
            }
            Err(error) => Err(error.into()),
        }
    }
}
