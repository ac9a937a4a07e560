//! The limits as configured: where buckets are charged, and what becomes of a request that can't
//! pay.

use std::{net::IpAddr, sync::Arc, time::Duration};

use thiserror::Error;

use super::rate_limit::{
    Charge, Decision, Denials, Identity, Mode, Policy, Price, policies_field, standings_field,
};
use crate::{
    clock::Clock,
    config::{Env, Limit, LimitSettings},
    kv::{Kv, MemoryStore, Step},
    request::{self, RateLimitFields},
    telemetry::{OrDegraded, metrics},
};

/// What the log calls trouble with shared buckets.
const WHAT: &str = "rate limit";

/// What requests cost. `None`: nothing, the limit is switched off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A login, by address.
    pub login: Option<Price>,
    /// What a failed login costs on top of it.
    pub failed_login: Option<Price>,
    /// A request of a signed-in user, by user.
    pub user: Option<Price>,
    /// A refresh, by session.
    pub refresh: Option<Price>,
    /// A request without a valid token, by address.
    pub guest: Option<Price>,
    /// A sealed body, by address.
    pub sealed: Option<Price>,
}

impl Limits {
    /// Prices as `settings` say; those that can't be are problems of `env`.
    #[must_use]
    pub fn new(settings: &LimitSettings, env: &Env) -> Self {
        let price = |name, variable, limit: Option<Limit>| {
            limit.and_then(|limit| price(env, (name, variable), limit, 1))
        };
        let surcharge = settings.login_failure_cost - 1;
        let failed = settings.login.filter(|_| surcharge > 0);
        let failed = failed.and_then(|login| price_of_failure(env, login, surcharge));
        Self {
            login: price("login", "RATE_LIMIT_LOGIN", settings.login),
            failed_login: failed,
            user: price("user", "RATE_LIMIT_USER", settings.user),
            refresh: price("refresh", "RATE_LIMIT_REFRESH", settings.refresh),
            guest: price("guest", "RATE_LIMIT_GUEST", settings.guest),
            sealed: price("sealed", "RATE_LIMIT_SEALED", settings.sealed),
        }
    }
}

fn price_of_failure(env: &Env, login: Limit, surcharge: u32) -> Option<Price> {
    let price = price(
        env,
        ("login", "RATE_LIMIT_LOGIN_FAILURE_COST"),
        login,
        surcharge,
    )?;
    // What would only be counted must not be taken either.
    Some(price.with_mode(Mode::Debit)).filter(|_| !login.shadow)
}

fn price(
    env: &Env,
    (name, variable): (&'static str, &'static str),
    limit: Limit,
    cost: u32,
) -> Option<Price> {
    let price = Policy::new(name, limit.burst, limit.count, limit.per)
        .and_then(|policy| policy.price(cost));
    let price = price
        .map_err(|error| env.problem(variable, error.to_string()))
        .ok()?;
    Some(if limit.shadow {
        price.with_mode(Mode::Shadow)
    } else {
        price
    })
}

/// A request asks for more than it may.
#[derive(Debug, Clone, Error)]
#[error("rate limit {policies} exceeded")]
pub struct Denied {
    /// The names of the policies that it can't pay.
    policies: String,
    /// When it could.
    pub retry_after: Duration,
}

/// Charges buckets. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    /// The buckets that instances share, where they share any.
    shared: Option<Kv>,
    /// The buckets of this instance, for when the shared ones are out of reach.
    own: MemoryStore,
    denials: Denials,
}

impl Limiter {
    /// A limiter of the buckets in `shared`; without it, of this instance's own.
    #[must_use]
    pub fn new(shared: Option<Kv>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            shared,
            own: MemoryStore::new(clock.clone()),
            denials: Denials::new(clock),
        }))
    }

    /// What `identity` has to pay, to be taken to shared state together with other questions.
    ///
    /// # Errors
    /// [`Denied`] when it is known without asking that it can't.
    pub fn ticket(&self, identity: Identity, price: Option<Price>) -> Result<Ticket, Denied> {
        let charge = price.map(|price| Charge::new(identity, vec![price]));
        if let Some(charge) = &charge
            && let Some(decision) = self.0.denials.recall(charge)
        {
            announce(charge, &decision);
            return Err(denied(&decision));
        }
        Ok(Ticket {
            limiter: self.clone(),
            charge,
        })
    }

    /// Lets whoever is at `address` pay, in a round trip of its own; nobody pays where the platform
    /// names none.
    ///
    /// # Errors
    /// [`Denied`] when it can't.
    pub async fn charge_address(
        &self,
        address: Option<IpAddr>,
        price: Option<Price>,
    ) -> Result<(), Denied> {
        self.charge_address_beside(address, price, None)
            .await
            .map(drop)
    }

    /// The same, and takes the step `beside` in the same round trip. Its reply, unless it could not
    /// be taken.
    ///
    /// # Errors
    /// [`Denied`] when the address can't pay. The step is taken all the same, unless that was known
    /// before.
    pub async fn charge_address_beside(
        &self,
        address: Option<IpAddr>,
        price: Option<Price>,
        beside: Option<&dyn Step>,
    ) -> Result<Option<Vec<i64>>, Denied> {
        let ticket = match address {
            Some(address) => self.ticket(Identity::Address(address), price)?,
            None => Ticket {
                limiter: self.clone(),
                charge: None,
            },
        };
        let pays = ticket.step().is_some();
        let mut replies = self
            .ask(&ticket.step().into_iter().chain(beside).collect::<Vec<_>>())
            .await
            .into_iter();
        ticket.settle(if pays { replies.next().flatten() } else { None })?;
        Ok(replies.next().flatten())
    }

    async fn ask(&self, steps: &[&dyn Step]) -> Vec<Option<Vec<i64>>> {
        let nothing = || vec![None; steps.len()];
        let Some(kv) = self.0.shared.as_ref().filter(|_| !steps.is_empty()) else {
            return nothing();
        };
        match kv.ask(steps, []).await.or_degraded(WHAT) {
            Some(replies) => {
                let steps = replies.steps.into_iter();
                steps.map(|reply| reply.or_degraded(WHAT)).collect()
            }
            None => nothing(),
        }
    }
}

/// What a request has to pay.
pub struct Ticket {
    limiter: Limiter,
    charge: Option<Charge>,
}

impl Ticket {
    /// The step to be taken; none where nothing has to be paid.
    #[must_use]
    pub fn step(&self) -> Option<&dyn Step> {
        self.charge.as_ref().map(|charge| charge as &dyn Step)
    }

    /// What came of it. `None`: the step was not taken, so this instance's own bucket pays.
    ///
    /// # Errors
    /// [`Denied`] when the bucket can't.
    pub fn settle(self, reply: Option<Vec<i64>>) -> Result<(), Denied> {
        let Some(charge) = &self.charge else {
            return Ok(());
        };
        let inner = &self.limiter.0;
        let known = reply.and_then(|reply| charge.decision(&reply).or_degraded(WHAT));
        let Some(decision) = known.or_else(|| charge.decision(&inner.own.step(charge)).ok()) else {
            return Ok(());
        };
        announce(charge, &decision);
        if decision.is_admitted() {
            return Ok(());
        }
        inner.denials.remember(charge, &decision);
        Err(denied(&decision))
    }
}

/// Tells client and operator how the buckets stand.
fn announce(charge: &Charge, decision: &Decision) {
    for denial in decision.shadow_denials() {
        tracing::info!(
            request_id = request::id(),
            policy = denial.policy().name(),
            "a rate limit in shadow mode"
        );
    }
    for price in charge.prices() {
        let name = price.policy().name();
        if decision
            .denials()
            .any(|denial| denial.policy().name() == name)
        {
            metrics::denied(name);
        } else {
            metrics::admitted(name);
        }
    }
    let fields = RateLimitFields {
        policies: policies_field(charge.prices()),
        standings: standings_field(decision),
    };
    request::note(|notes| notes.rate_limit = Some(fields));
}

fn denied(decision: &Decision) -> Denied {
    let names: Vec<_> = decision
        .denials()
        .map(|denial| denial.policy().name())
        .collect();
    Denied {
        policies: names.join(", "),
        retry_after: decision.retry_after(),
    }
}

#[cfg(test)]
mod tests;
