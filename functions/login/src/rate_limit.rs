//! Logins are limited by address, and rejected while the circuit breaker is open. Failed ones have
//! a limit of their own, which only they pay: a client that guesses codes behind a carrier's NAT does not
//! lock out the others there.

use std::net::IpAddr;

use shared::{
    api::{ApiError, Reason},
    kv::Step,
    resilience::Ticket,
    wechat::WeChatError,
};

use crate::flow::Login;

impl Login {
    /// What one login from `address` is charged.
    ///
    /// # Errors
    /// 429 when a recent denial still applies: then nothing is asked of Redis.
    pub fn ticket(&self, address: Option<IpAddr>) -> Result<Ticket, ApiError> {
        Ok(self.limiter.address_ticket(address, self.limits.login)?)
    }

    /// Admits one login: one round trip checks both the address's limit and the circuit breaker.
    pub async fn admit(&self, ticket: Ticket) -> Result<(), ApiError> {
        let guard = self.wechat.guard();
        let check = guard.check();
        let step = check.as_ref().map(|check| check as &dyn Step);
        let reply = ticket.pay(step).await?;
        guard
            .record_reply(check, reply.as_deref())
            .map_err(WeChatError::from)?;
        Ok(())
    }

    /// What a failed login is answered: `error`, or 429 when its address has had too many invalid
    /// codes, each of which may be a guess. A used code is not counted, because pages retry with
    /// it, and after an outage at WeChat all of them do.
    pub async fn failed(&self, address: Option<IpAddr>, error: ApiError) -> ApiError {
        if error.reason() != Reason::CodeInvalid {
            return error;
        }
        let charge = self
            .limiter
            .charge_address(address, self.limits.failed_login);
        match charge.await {
            Ok(()) => error,
            Err(denied) => denied.into(),
        }
    }
}
