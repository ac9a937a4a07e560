//! The configured limits: where buckets are charged, and what happens to a request that exceeds
//! one.

use std::{net::IpAddr, sync::Arc, time::Duration};

use thiserror::Error;

use super::rate_limit::{
    Charge, Cost, Decision, Denials, Identity, Mode, Policy, policies_field, standings_field,
};
use crate::{
    clock::Clock,
    config::{
        Env, Limit, LimitSettings, RATE_LIMIT_AVATAR, RATE_LIMIT_CODES, RATE_LIMIT_EXPORT,
        RATE_LIMIT_GUEST, RATE_LIMIT_LOGIN, RATE_LIMIT_LOGIN_FAILURES, RATE_LIMIT_MESSAGES,
        RATE_LIMIT_REFRESH, RATE_LIMIT_SEALED, RATE_LIMIT_USER, RATE_LIMIT_WECHAT,
    },
    kv::{Delivery, Kv, MemoryStore, Step},
    request::{self, RateLimitFields},
    telemetry::{OrDegraded, metrics},
};

/// The name of the shared buckets in `degraded` log lines.
const WHAT: &str = "rate limit";

/// The limits of an IPv6 site (a /48) are this many times those of one of its networks (a /64). A
/// customer may have a whole /48, but a carrier's /48 also holds thousands of phones.
const SITE_FACTOR: u32 = 16;

/// What requests cost. `None` when the limit is switched off.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A login, by address.
    pub login: Option<AddressCost>,
    /// A login that failed, by address, in addition.
    pub failed_login: Option<AddressCost>,
    /// A request of an authenticated user, by user.
    pub user: Option<Cost>,
    /// A request with a token whose session is not yet known to live, by session. It is the same
    /// limit as the user's, so that it never denies a session that lives.
    pub session: Option<Cost>,
    /// A refresh, by session.
    pub refresh: Option<Cost>,
    /// A request without a valid token, by address.
    pub guest: Option<AddressCost>,
    /// A sealed body, by address.
    pub sealed: Option<AddressCost>,
    /// A call to WeChat on behalf of a user, by account.
    pub wechat: Option<Cost>,
    /// A page of an export, by user, in addition.
    pub export: Option<Cost>,
    /// A form for an upload of an avatar, by user, in addition.
    pub avatar: Option<Cost>,
    /// A message that is sent, by mini-program.
    pub message: Option<Cost>,
    /// A code or a link that WeChat makes, by user, in addition.
    pub codes: Option<Cost>,
}

/// What a request costs the address that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct AddressCost {
    /// To the IPv4 address or the IPv6 /64.
    network: Cost,
    /// To the IPv6 /48.
    site: Cost,
}

impl AddressCost {
    /// The charge of this cost to `address`.
    fn charge(self, address: IpAddr) -> Charge {
        let charge = Charge::new(Identity::Address(address), vec![self.network]);
        match Identity::site(address) {
            Some(site) => charge.and(site, self.site),
            None => charge,
        }
    }
}

impl Limits {
    /// The costs from `settings`; impossible ones are reported to `env`.
    #[must_use]
    pub fn new(settings: &LimitSettings, env: &Env) -> Self {
        let one = |name, variable, limit: Option<Limit>| cost(env, variable, name, limit?);
        let by_address =
            |names, variable, limit: Option<Limit>| address_cost(env, variable, names, limit?);
        let user = one("user", RATE_LIMIT_USER.name(), settings.user);
        Self {
            login: by_address(
                ["login", "login-48"],
                RATE_LIMIT_LOGIN.name(),
                settings.login,
            ),
            failed_login: by_address(
                ["login-failures", "login-failures-48"],
                RATE_LIMIT_LOGIN_FAILURES.name(),
                settings.login_failures,
            ),
            user,
            // An impossible limit is reported once.
            session: user.and_then(|_| one("session", RATE_LIMIT_USER.name(), settings.user)),
            refresh: one("refresh", RATE_LIMIT_REFRESH.name(), settings.refresh),
            guest: by_address(
                ["guest", "guest-48"],
                RATE_LIMIT_GUEST.name(),
                settings.guest,
            ),
            sealed: by_address(
                ["sealed", "sealed-48"],
                RATE_LIMIT_SEALED.name(),
                settings.sealed,
            ),
            wechat: one("wechat", RATE_LIMIT_WECHAT.name(), settings.wechat),
            export: one("export", RATE_LIMIT_EXPORT.name(), settings.export),
            avatar: one("avatar", RATE_LIMIT_AVATAR.name(), settings.avatar),
            message: one("messages", RATE_LIMIT_MESSAGES.name(), settings.messages),
            codes: one("codes", RATE_LIMIT_CODES.name(), settings.codes),
        }
    }
}

/// The cost of one unit of `limit`.
fn cost(env: &Env, variable: &'static str, name: &'static str, limit: Limit) -> Option<Cost> {
    let cost = Policy::new(name, limit.burst, limit.count, limit.per)
        .and_then(|policy| policy.cost(1))
        .map_err(|error| env.add_error(variable, error.to_string()))
        .ok()?;
    Some(if limit.shadow {
        cost.with_mode(Mode::Shadow)
    } else {
        cost
    })
}

fn address_cost(
    env: &Env,
    variable: &'static str,
    [network, site]: [&'static str; 2],
    limit: Limit,
) -> Option<AddressCost> {
    let wider = Limit {
        count: limit.count.saturating_mul(SITE_FACTOR),
        burst: limit.burst.saturating_mul(SITE_FACTOR),
        ..limit
    };
    // An impossible limit is reported once.
    Some(AddressCost {
        network: cost(env, variable, network, limit)?,
        site: cost(env, variable, site, wider)?,
    })
}

/// A request exceeds a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
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
        self.ticket_of(cost.map(|cost| Charge::new(identity, vec![cost])))
    }

    fn ticket_of(&self, charge: Option<Charge>) -> Result<Ticket, Denied> {
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

    /// Charges `identity`, in a round trip of its own.
    ///
    /// # Errors
    /// [`Denied`] when it exceeds the limit.
    pub async fn charge(&self, identity: Identity, cost: Option<Cost>) -> Result<(), Denied> {
        let ticket = self.ticket(identity, cost)?;
        ticket.pay(None).await.map(drop)
    }

    /// Forgets what `identity` was charged under the policy of `cost`.
    pub async fn forget(&self, identity: Identity, cost: Cost) {
        let charge = Charge::new(identity, vec![cost]);
        for key in charge.keys() {
            self.0.local.delete(key);
            if let Some(shared) = &self.0.shared {
                let deleted = shared.delete(key, Delivery::Required).await;
                deleted.or_degraded(WHAT);
            }
        }
    }

    /// Charges the client at `address`, in a round trip of its own; without an address nothing is
    /// charged.
    ///
    /// # Errors
    /// [`Denied`] when the address exceeds the limit.
    pub async fn charge_address(
        &self,
        address: Option<IpAddr>,
        cost: Option<AddressCost>,
    ) -> Result<(), Denied> {
        let ticket = self.address_ticket(address, cost)?;
        ticket.pay(None).await.map(drop)
    }

    /// What the client at `address` is charged; nothing without an address.
    ///
    /// # Errors
    /// [`Denied`] when a recent denial still applies.
    pub fn address_ticket(
        &self,
        address: Option<IpAddr>,
        cost: Option<AddressCost>,
    ) -> Result<Ticket, Denied> {
        let charge = address
            .zip(cost)
            .map(|(address, cost)| cost.charge(address));
        self.ticket_of(charge)
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

    /// Makes the charge, and runs `step` in the same round trip. Returns the step's reply, if it
    /// could run.
    ///
    /// # Errors
    /// [`Denied`] when the request exceeds the limit. The step runs nevertheless.
    pub async fn pay(self, step: Option<&dyn Step>) -> Result<Option<Vec<i64>>, Denied> {
        let charge = self.step();
        let is_charged = charge.is_some();
        let steps: Vec<_> = charge.into_iter().chain(step).collect();
        let mut replies = self.limiter.ask(&steps).await.into_iter();
        let reply = if is_charged {
            replies.next().flatten()
        } else {
            None
        };
        self.apply(reply)?;
        Ok(replies.next().flatten())
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

    /// Gives back what the step took: it turned out that the identity did not make this request.
    /// `None`: the step did not run, so nothing was taken.
    pub async fn refund(self, reply: Option<Vec<i64>>) {
        let refund = self.charge.as_ref().zip(reply).and_then(|(charge, reply)| {
            let decision = charge.decision(&reply).or_degraded(WHAT)?;
            charge.refund(&decision)
        });
        if let (Some(refund), Some(kv)) = (refund, &self.limiter.0.shared) {
            kv.step(&refund, Delivery::Required).await.or_degraded(WHAT);
        }
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
