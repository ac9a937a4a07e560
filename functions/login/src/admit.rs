//! Who may try to log in.

use std::{net::IpAddr, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;
use shared::{
    api::{ApiError, Reason},
    edge::ClientIp,
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
        login.limiter.charge_address(address, login.limits.login).await?;
        Ok(Self { address })
    }
}

impl Admitted {
    /// A code that WeChat does not know costs more: somebody may be guessing. One that was used does not, because pages
    /// come with it again, and after an outage at WeChat all of them do.
    pub async fn failed(&self, login: &Login, error: &ApiError) {
        if error.reason() == Reason::CodeInvalid {
            // Taking what is left denies nobody.
            let _ = login.limiter.charge_address(self.address, login.limits.failed_login).await;
        }
    }
}
