//! One step: several prices of one identity, paid together or not at all.

use std::{iter::zip, sync::LazyLock, time::Duration};

use bytes::Bytes;

use super::{Identity, Mode, Policy, Price};
use crate::kv::{Applied, KvError, Micros, Script, Step, Write, whole_number};

/// The same machine in Lua, without the line that tells it the time.
pub const LUA: &str = include_str!("charge.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LUA));

/// Takes prices from the buckets of one identity.
///
/// All are looked at, then all are paid: a denied request costs nothing. Taken twice (an answer was
/// lost), it is paid twice, so that never more than said is admitted.
#[derive(Clone, Debug)]
pub struct Charge {
    prices: Vec<Price>,
    keys: Vec<String>,
}

impl Charge {
    /// What `identity` is to pay. Each policy may be named once.
    #[must_use]
    pub fn new(identity: Identity, prices: Vec<Price>) -> Self {
        let keys = prices
            .iter()
            .map(|price| format!("{identity}:rl:{}", price.policy().name()))
            .collect();
        Self { prices, keys }
    }

    /// The prices.
    #[must_use]
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// What the store's reply means.
    ///
    /// # Errors
    /// [`KvError`] when it is none of this step's.
    pub fn decision(&self, reply: &[i64]) -> Result<Decision, KvError> {
        let (times, []) = reply.as_chunks() else {
            return Err(KvError::unexpected("a rate limit"));
        };
        if times.len() != self.prices.len() {
            return Err(KvError::unexpected("a rate limit"));
        }
        let verdicts = zip(&self.prices, times).map(|(price, times)| Verdict::new(*price, *times));
        Ok(Decision {
            verdicts: verdicts.collect(),
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
        let numbers = |price: &Price| {
            let mode = match price.mode() {
                Mode::Enforced => 0,
                Mode::Shadow => 1,
                Mode::Debit => 2,
            };
            [price.policy().refill_micros(), price.cost_micros(), mode]
        };
        self.prices.iter().flat_map(numbers).collect()
    }

    fn apply(&self, now: Micros, values: &[Option<Bytes>]) -> Applied {
        let buckets: Vec<_> = zip(&self.prices, values)
            .map(|(price, value)| Bucket::find(*price, value.as_ref(), now))
            .collect();
        let admitted = buckets
            .iter()
            .all(|bucket| bucket.price.mode() != Mode::Enforced || bucket.wait == 0);
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

/// A bucket at one moment, and the price that is asked from it.
#[derive(Clone, Copy)]
struct Bucket {
    price: Price,
    /// The time until it is full.
    debt: Micros,
    /// The time until it can pay.
    wait: Micros,
    /// It held what it can't hold: the clock was set back, or the policy has changed.
    stray: bool,
}

impl Bucket {
    fn find(price: Price, stored: Option<&Bytes>, now: Micros) -> Self {
        let full = price.policy().refill_micros();
        let owed = stored.and_then(|text| whole_number(text)).unwrap_or(now) - now;
        let debt = owed.clamp(0, full);
        Self {
            price,
            debt,
            wait: (debt + price.cost_micros() - full).max(0),
            stray: owed > full,
        }
    }

    fn pay(self, admitted: bool) -> Self {
        let (full, cost) = (
            self.price.policy().refill_micros(),
            self.price.cost_micros(),
        );
        if self.price.mode() == Mode::Debit {
            return Self {
                debt: (self.debt + cost).min(full),
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

    /// The moment at which it is full: its theoretical arrival time. From then on, it need not be
    /// remembered.
    fn put(self, now: Micros) -> Write {
        let life = Duration::from_millis(self.debt.unsigned_abs().div_ceil(1000));
        Write::Put(Bytes::from((now + self.debt).to_string()), life)
    }
}

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// In the order of the prices.
    pub verdicts: Vec<Verdict>,
}

impl Decision {
    /// Every enforced price was paid.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.denials().next().is_none()
    }

    /// After this, the same request would be admitted, if nobody else asked meanwhile. Zero when it
    /// is.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.denials()
            .map(|verdict| verdict.retry_after)
            .max()
            .unwrap_or_default()
    }

    /// The prices that could not be paid and are enforced.
    pub fn denials(&self) -> impl Iterator<Item = &Verdict> {
        self.unaffordable(Mode::Enforced)
    }

    /// The prices that could not be paid and are only told.
    pub fn shadow_denials(&self) -> impl Iterator<Item = &Verdict> {
        self.unaffordable(Mode::Shadow)
    }

    fn unaffordable(&self, mode: Mode) -> impl Iterator<Item = &Verdict> {
        self.verdicts
            .iter()
            .filter(move |verdict| verdict.price.mode() == mode && !verdict.retry_after.is_zero())
    }
}

/// How one bucket stands after the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was asked from it.
    pub price: Price,
    /// The time until it is full.
    pub reset_after: Duration,
    /// The time until it could pay. Zero when it could, or when it had to.
    pub retry_after: Duration,
}

impl Verdict {
    fn new(price: Price, times: [i64; 2]) -> Self {
        let [reset_after, retry_after] =
            times.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
        Self {
            price,
            reset_after,
            retry_after,
        }
    }

    /// Of which policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.price.policy()
    }

    /// Whole units left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let filled = self.policy().refill().saturating_sub(self.reset_after);
        u32::try_from(filled.as_micros() / self.policy().interval().as_micros()).unwrap_or(u32::MAX)
    }

    /// The time within which no more than [`Self::remaining`] units can be had. That of a full
    /// bucket is one interval: what is taken from it comes back then.
    #[must_use]
    pub fn grows_after(&self) -> Duration {
        let missing = self.policy().burst().saturating_sub(self.remaining());
        (self.reset_after + self.policy().interval())
            .saturating_sub(self.policy().interval() * missing)
    }

    /// The same bucket after a while in which nobody asked.
    pub(super) fn after(self, elapsed: Duration) -> Self {
        let [reset_after, retry_after] =
            [self.reset_after, self.retry_after].map(|time| time.saturating_sub(elapsed));
        Self {
            reset_after,
            retry_after,
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
