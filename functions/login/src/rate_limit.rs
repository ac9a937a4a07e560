//! Logins are limited by address, and rejected while the circuit breaker is open. Failed ones have
//! a limit of their own, which only they pay: a client that guesses codes behind a carrier's NAT does not
//! lock out the others there.

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

/// Permission for one login attempt.
pub struct LoginPermit {
    address: Option<IpAddr>,
}

impl FromRequestParts<Arc<Login>> for LoginPermit {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, login: &Arc<Login>) -> Result<Self, ApiError> {
        let address = ClientIp::of(&parts.extensions);
        // One round trip checks both the address's limit and the circuit breaker.
        let guard = login.wechat.guard();
        let check = guard.check();
        let step = check.as_ref().map(|check| check as &dyn Step);
        let reply = login
            .limiter
            .charge_address_with(address, login.limits.login, step)
            .await?;
        guard
            .record_reply(check, reply.as_deref())
            .map_err(WeChatError::from)?;
        Ok(Self { address })
    }
}

impl LoginPermit {
    /// What a failed login is answered: `error`, or 429 when its address has had too many invalid
    /// codes, each of which may be a guess. A used code is not counted, because pages retry with
    /// it, and after an outage at WeChat all of them do.
    pub async fn failed(&self, login: &Login, error: ApiError) -> ApiError {
        if error.reason() != Reason::CodeInvalid {
            return error;
        }
        let charge = login
            .limiter
            .charge_address(self.address, login.limits.failed_login);
        match charge.await {
            Ok(()) => error,
            Err(denied) => denied.into(),
        }
    }
}
