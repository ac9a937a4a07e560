//! One step: charges several costs to one identity, all or none.

use std::{iter::zip, sync::LazyLock, time::Duration};

use bytes::Bytes;

use super::{BucketState, Cost, Decision, Identity, Mode};
use crate::kv::{Applied, KvError, Micros, Script, Step, Write, whole_number};

/// The same machine in Lua, without the preamble that sets `now`.
pub const LUA: &str = include_str!("charge.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LUA));

/// Takes costs from the buckets of one identity.
///
/// All buckets are checked before any is charged: a denied request costs nothing. Run twice (a
/// reply was lost), it charges twice, so that never more than the limit is admitted.
#[derive(Clone, Debug)]
pub struct Charge {
    costs: Vec<Cost>,
    keys: Vec<String>,
}

impl Charge {
    /// The charge of `costs` to `identity`. Each policy may appear once.
    #[must_use]
    pub fn new(identity: Identity, costs: Vec<Cost>) -> Self {
        let keys = costs
            .iter()
            .map(|cost| identity.key(cost.policy()))
            .collect();
        Self { costs, keys }
    }

    /// The same, and `cost` to another identity whose buckets are in the same cluster slot.
    #[must_use]
    pub fn and(mut self, identity: Identity, cost: Cost) -> Self {
        self.keys.push(identity.key(cost.policy()));
        self.costs.push(cost);
        self
    }

    /// Gives back what this charge took by `decision`; `None` when it took nothing.
    #[must_use]
    pub fn refund(&self, decision: &Decision) -> Option<Self> {
        if !decision.is_admitted() {
            return None;
        }
        let paid =
            zip(&self.keys, &decision.buckets).filter(|(_, bucket)| bucket.retry_after.is_zero());
        let (keys, costs): (Vec<_>, Vec<_>) = paid
            .map(|(key, bucket)| (key.clone(), bucket.cost.with_mode(Mode::Refund)))
            .unzip();
        (!keys.is_empty()).then_some(Self { costs, keys })
    }

    /// The costs.
    #[must_use]
    pub fn costs(&self) -> &[Cost] {
        &self.costs
    }

    /// Parses the store's reply.
    ///
    /// # Errors
    /// [`KvError`] when it is not a reply to this step.
    pub fn decision(&self, reply: &[i64]) -> Result<Decision, KvError> {
        let (times, []) = reply.as_chunks() else {
            return Err(KvError::unexpected("a rate limit"));
        };
        if times.len() != self.costs.len() {
            return Err(KvError::unexpected("a rate limit"));
        }
        let buckets = zip(&self.costs, times).map(|(cost, times)| BucketState::new(*cost, *times));
        Ok(Decision {
            buckets: buckets.collect(),
        })
    }
}

impl Step for Charge {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn keys(&self) -> &[String] {
        &self.keys
    }

    fn arguments(&self) -> Vec<i64> {
        let numbers = |cost: &Cost| {
            let mode = match cost.mode() {
                Mode::Enforced => 0,
                Mode::Shadow => 1,
                Mode::Refund => 2,
            };
            [cost.policy().refill_micros(), cost.micros(), mode]
        };
        self.costs.iter().flat_map(numbers).collect()
    }

    fn apply(&self, now: Micros, values: &[Option<Bytes>]) -> Applied {
        let buckets: Vec<_> = zip(&self.costs, values)
            .map(|(cost, value)| Bucket::find(*cost, value.as_ref(), now))
            .collect();
        let admitted = buckets
            .iter()
            .all(|bucket| bucket.cost.mode() != Mode::Enforced || bucket.wait == 0);
        let mut applied = Applied {
            writes: Vec::with_capacity(buckets.len()),
            reply: Vec::with_capacity(2 * buckets.len()),
        };
        for bucket in buckets {
            let paid = bucket.pay(admitted);
            let changed = paid.debt != bucket.debt || bucket.stray;
            applied
                .writes
                .push(if changed { paid.put(now) } else { Write::Keep });
            applied.reply.extend([paid.debt, paid.wait]);
        }
        applied
    }
}

/// A bucket at one moment, and the cost to be taken from it.
#[derive(Clone, Copy)]
struct Bucket {
    cost: Cost,
    /// The time until it is full.
    debt: Micros,
    /// The time until it covers the cost.
    wait: Micros,
    /// The stored debt was above a full bucket: the clock was set back, or the policy has changed.
    stray: bool,
}

impl Bucket {
    fn find(cost: Cost, stored: Option<&Bytes>, now: Micros) -> Self {
        let full = cost.policy().refill_micros();
        let owed = stored.and_then(|text| whole_number(text)).unwrap_or(now) - now;
        let debt = owed.clamp(0, full);
        Self {
            cost,
            debt,
            wait: (debt + cost.micros() - full).max(0),
            stray: owed > full,
        }
    }

    fn pay(self, admitted: bool) -> Self {
        let cost = self.cost.micros();
        if self.cost.mode() == Mode::Refund {
            return Self {
                debt: (self.debt - cost).max(0),
                wait: 0,
                ..self
            };
        }
        if admitted && self.wait == 0 {
            Self {
                debt: self.debt + cost,
                ..self
            }
        } else {
            self
        }
    }

    /// Stores the moment at which the bucket is full: its theoretical arrival time. From then on,
    /// it need not be stored.
    fn put(self, now: Micros) -> Write {
        // After a refund it may be full already.
        let ttl = Duration::from_millis(self.debt.unsigned_abs().div_ceil(1000).max(1));
        Write::Put(Bytes::from((now + self.debt).to_string()), ttl)
    }
}

#[cfg(test)]
mod tests;
