//! Who may try to log in.

use std::{net::IpAddr, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;
use shared::{
    api::{ApiError, Reason},
    edge::ClientIp,
    kv::Step,
    wechat::WeChatError,
};

use crate::flow::Login;

/// Somebody who has paid for a try.
pub struct Admitted {
    address: Option<IpAddr>,
}

impl FromRequestParts<Arc<Login>> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, login: &Arc<Login>) -> Result<Self, ApiError> {
        let address = ClientIp::of(&parts.extensions);
        // Both in one round trip: whether the address can pay, and whether WeChat can be asked.
        let guard = login.wechat.guard();
        let look = guard.look();
        let look = look.as_ref().map(|look| look as &dyn Step);
        let reply = login
            .limiter
            .charge_address_beside(address, login.limits.login, look)
            .await?;
        guard.hear(reply.as_deref()).map_err(WeChatError::from)?;
        Ok(Self { address })
    }
}

impl Admitted {
    /// A code that WeChat does not know costs more: somebody may be guessing. One that was used
    /// does not, because pages come with it again, and after an outage at WeChat all of them do.
    pub async fn failed(&self, login: &Login, error: &ApiError) {
        if error.reason() == Reason::CodeInvalid {
            // Taking what is left denies nobody.
            let _ = login
                .limiter
                .charge_address(self.address, login.limits.failed_login)
                .await;
        }
    }
}
