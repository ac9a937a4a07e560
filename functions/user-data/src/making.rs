//! What codes and links have in common: WeChat makes them, within its quotas and within the limit of the
//! calling user.

use std::time::Duration;

use shared::{
    api::{ApiError, Reason},
    auth::Claims,
    instance::Instance,
    resilience::{
        Limiter,
        rate_limit::{Cost, Identity},
    },
    wechat::{AuthorizedWeChat, WeChatError},
};

/// WeChat does not document when its quotas of a day begin anew.
const QUOTA_RETRY: Duration = Duration::from_hours(1);

/// Has WeChat make things. Cheap to clone.
#[derive(Clone)]
pub struct Making {
    wechat: AuthorizedWeChat,
    limiter: Limiter,
    cost: Option<Cost>,
}

impl Making {
    pub fn new(instance: &Instance, wechat: AuthorizedWeChat) -> Self {
        Self {
            wechat,
            limiter: instance.limiter(),
            cost: instance.limits().codes,
        }
    }

    /// WeChat, for one call on behalf of this user.
    pub async fn wechat(&self, caller: &Claims) -> Result<&AuthorizedWeChat, WeChatError> {
        let user = Identity::User(caller.sub);
        self.limiter.charge(user, self.cost).await?;
        Ok(&self.wechat)
    }
}

/// A quota has a reason of its own: WeChat is not down, and nothing but time helps.
pub fn failure(error: WeChatError) -> ApiError {
    match error {
        WeChatError::QuotaExceeded => ApiError::new(Reason::QuotaExceeded)
            .because(&error)
            .retry_after(QUOTA_RETRY),
        error => error.into(),
    }
}
