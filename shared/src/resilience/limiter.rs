//! The configured limits: where buckets are charged, and what happens to a request that exceeds
//! one.

use std::{net::IpAddr, sync::Arc, time::Duration};

use thiserror::Error;

use super::rate_limit::{
    Charge, Cost, Decision, Denials, Identity, Mode, Policy, PolicyError, policies_field,
    standings_field,
};
use crate::{
    clock::Clock,
    config::{
        Env, Limit, LimitSettings, RATE_LIMIT_GUEST, RATE_LIMIT_LOGIN,
        RATE_LIMIT_LOGIN_FAILURE_COST, RATE_LIMIT_REFRESH, RATE_LIMIT_SEALED, RATE_LIMIT_USER,
    },
    kv::{Delivery, Kv, MemoryStore, Step},
    request::{self, RateLimitFields},
    telemetry::{OrDegraded, metrics},
};

/// The name of the shared buckets in `degraded` log lines.
const WHAT: &str = "rate limit";

/// What requests cost. `None` when the limit is switched off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A login, by address.
    pub login: Option<Cost>,
    /// What a failed login costs in addition.
    pub failed_login: Option<Cost>,
    /// A request of an authenticated user, by user.
    pub user: Option<Cost>,
    /// A refresh, by session.
    pub refresh: Option<Cost>,
    /// A request without a valid token, by address.
    pub guest: Option<Cost>,
    /// A sealed body, by address.
    pub sealed: Option<Cost>,
}

impl Limits {
    /// The costs from `settings`; impossible ones are reported to `env`.
    #[must_use]
    pub fn new(settings: &LimitSettings, env: &Env) -> Self {
        let one = |name, variable, limit: Option<Limit>| {
            limit.and_then(|limit| cost(env, variable, policy(name, limit), limit, 1))
        };
        Self {
            login: one("login", RATE_LIMIT_LOGIN.name(), settings.login),
            failed_login: surcharge(env, settings),
            user: one("user", RATE_LIMIT_USER.name(), settings.user),
            refresh: one("refresh", RATE_LIMIT_REFRESH.name(), settings.refresh),
            guest: one("guest", RATE_LIMIT_GUEST.name(), settings.guest),
            sealed: one("sealed", RATE_LIMIT_SEALED.name(), settings.sealed),
        }
    }
}

/// What a failed login costs beyond the one unit that every login costs.
fn surcharge(env: &Env, settings: &LimitSettings) -> Option<Cost> {
    let login = settings.login?;
    let units = settings.login_failure_cost - 1;
    // In shadow mode there is no surcharge.
    if units == 0 || login.shadow {
        return None;
    }
    let policy = policy("login", login);
    let cost = cost(
        env,
        RATE_LIMIT_LOGIN_FAILURE_COST.name(),
        policy,
        login,
        units,
    )?;
    Some(cost.with_mode(Mode::Debit))
}

fn policy(name: &'static str, limit: Limit) -> Result<Policy, PolicyError> {
    Policy::new(name, limit.burst, limit.count, limit.per)
}

fn cost(
    env: &Env,
    variable: &'static str,
    policy: Result<Policy, PolicyError>,
    limit: Limit,
    units: u32,
) -> Option<Cost> {
    let cost = policy
        .and_then(|policy| policy.cost(units))
        .map_err(|error| env.add_error(variable, error.to_string()))
        .ok()?;
    Some(if limit.shadow {
        cost.with_mode(Mode::Shadow)
    } else {
        cost
    })
}

/// A request exceeds a rate limit.
#[derive(Debug, Clone, Error)]
#[error("rate limit {policies} exceeded")]
pub struct Denied {
    /// The names of the policies that it exceeds.
    policies: String,
    /// When it may be repeated.
    pub retry_after: Duration,
}

/// Charges buckets. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    /// The buckets that instances share, if any.
    shared: Option<Kv>,
    /// The buckets of this instance, for when the shared ones are unavailable.
    local: MemoryStore,
    denials: Denials,
}

impl Limiter {
    /// A limiter of the buckets in `shared`; without it, of this instance alone.
    #[must_use]
    pub fn new(shared: Option<Kv>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            shared,
            local: MemoryStore::new(clock.clone()),
            denials: Denials::new(clock),
        }))
    }

    /// What `identity` is charged, to be sent to shared state together with other steps.
    ///
    /// # Errors
    /// [`Denied`] when a recent denial still applies.
    pub fn ticket(&self, identity: Identity, cost: Option<Cost>) -> Result<Ticket, Denied> {
        let charge = cost.map(|cost| Charge::new(identity, vec![cost]));
        if let Some(charge) = &charge
            && let Some(decision) = self.0.denials.recall(charge)
        {
            report(charge, &decision);
            return Err(denied(&decision));
        }
        Ok(Ticket {
            limiter: self.clone(),
            charge,
        })
    }

    /// Charges the client at `address`, in a round trip of its own; without an address nothing is
    /// charged.
    ///
    /// # Errors
    /// [`Denied`] when the address exceeds the limit.
    pub async fn charge_address(
        &self,
        address: Option<IpAddr>,
        cost: Option<Cost>,
    ) -> Result<(), Denied> {
        self.charge_address_with(address, cost, None)
            .await
            .map(drop)
    }

    /// The same, and runs `step` in the same round trip. Returns the step's reply, if it could run.
    ///
    /// # Errors
    /// [`Denied`] when the address exceeds the limit. The step runs nevertheless, unless a recent
    /// denial still applies.
    pub async fn charge_address_with(
        &self,
        address: Option<IpAddr>,
        cost: Option<Cost>,
        step: Option<&dyn Step>,
    ) -> Result<Option<Vec<i64>>, Denied> {
        let ticket = match address {
            Some(address) => self.ticket(Identity::Address(address), cost)?,
            None => Ticket {
                limiter: self.clone(),
                charge: None,
            },
        };
        let is_charged = ticket.step().is_some();
        let mut replies = self
            .ask(&ticket.step().into_iter().chain(step).collect::<Vec<_>>())
            .await
            .into_iter();
        ticket.apply(if is_charged {
            replies.next().flatten()
        } else {
            None
        })?;
        Ok(replies.next().flatten())
    }

    async fn ask(&self, steps: &[&dyn Step]) -> Vec<Option<Vec<i64>>> {
        let nothing = || vec![None; steps.len()];
        let Some(kv) = self.0.shared.as_ref().filter(|_| !steps.is_empty()) else {
            return nothing();
        };
        match kv
            .ask(steps, [], Delivery::BestEffort)
            .await
            .or_degraded(WHAT)
        {
            Some(replies) => {
                let steps = replies.steps.into_iter();
                steps.map(|reply| reply.or_degraded(WHAT)).collect()
            }
            None => nothing(),
        }
    }
}

/// A charge that has not been made yet.
pub struct Ticket {
    limiter: Limiter,
    charge: Option<Charge>,
}

impl Ticket {
    /// The step to run; `None` when there is nothing to charge.
    #[must_use]
    pub fn step(&self) -> Option<&dyn Step> {
        self.charge.as_ref().map(|charge| charge as &dyn Step)
    }

    /// Applies the reply to the step. `None`: the step did not run, so this instance's own bucket
    /// is charged.
    ///
    /// # Errors
    /// [`Denied`] when the request exceeds the limit.
    pub fn apply(self, reply: Option<Vec<i64>>) -> Result<(), Denied> {
        let Some(charge) = &self.charge else {
            return Ok(());
        };
        let inner = &self.limiter.0;
        let known = reply.and_then(|reply| charge.decision(&reply).or_degraded(WHAT));
        let Some(decision) = known.or_else(|| charge.decision(&inner.local.step(charge)).ok())
        else {
            return Ok(());
        };
        report(charge, &decision);
        if decision.is_admitted() {
            return Ok(());
        }
        inner.denials.remember(charge, &decision);
        Err(denied(&decision))
    }
}

/// Reports the buckets to the client (headers) and to the operator (log and metrics).
fn report(charge: &Charge, decision: &Decision) {
    for denial in decision.shadow_denials() {
        tracing::info!(
            request_id = request::id(),
            policy = denial.policy().name(),
            "rate limit exceeded in shadow mode"
        );
    }
    for cost in charge.costs() {
        let name = cost.policy().name();
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
        policies: policies_field(charge.costs()),
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
