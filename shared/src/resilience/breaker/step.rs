//! The steps of a breaker, which the store runs.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;

use super::{
    BreakerError, Force, InstanceId, Outcomes, ProbeToken,
    machine::{self, Effect, Input, StepKind},
    rules::{MAX_FORCED, Rules, micros},
    state::BreakerRecord,
    window::Calls,
};
use crate::{
    config::BreakerSettings,
    kv::{Applied, Micros, Script, Step, Write},
    random::Random,
};

/// The same machine in Lua, without the preamble that sets `now`.
pub const LUA: &str = include_str!("breaker.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LUA));

/// One breaker, as one instance uses it. Cheap to clone.
#[derive(Clone)]
pub struct Breaker {
    key: Arc<[String; 1]>,
    rules: Rules,
    instance: InstanceId,
    random: Random,
}

impl Breaker {
    /// The longest time for which a state can be forced: one that was forgotten ends by itself.
    pub const LONGEST_FORCE: Duration = Duration::from_micros(MAX_FORCED.unsigned_abs());

    /// The breaker of this name, as this instance sees it.
    ///
    /// # Errors
    /// [`BreakerError`] for settings that can't work.
    pub fn new(
        name: &'static str,
        settings: &BreakerSettings,
        instance: InstanceId,
        random: Random,
    ) -> Result<Self, BreakerError> {
        let rules = Rules::new(name, settings)?;
        Ok(Self {
            key: Arc::new([format!("{{brk:{name}}}")]),
            rules,
            instance,
            random,
        })
    }

    /// The key that its state is stored under.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key[0]
    }

    /// Asks for the breaker's status, and reports the outcomes since the last check. Without any,
    /// nothing is written.
    #[must_use]
    pub fn check(&self, outcomes: Outcomes) -> BreakerStep {
        self.step(StepKind::Check, outcomes, None)
    }

    /// Takes the probe if the breaker is half-open and the probe is free; run twice, the probe is
    /// still the caller's. Otherwise like [`Self::check`].
    #[must_use]
    pub fn acquire(&self, token: ProbeToken, outcomes: Outcomes) -> BreakerStep {
        self.step(StepKind::Acquire, outcomes, Some(token))
    }

    /// Reports outcomes: the probe's if there is a token, otherwise those of other calls. A probe
    /// that reports no outcome returns its lease.
    #[must_use]
    pub fn report(&self, outcomes: Outcomes, token: Option<ProbeToken>) -> BreakerStep {
        self.step(StepKind::Report, outcomes, token)
    }

    /// Overrides the breaker.
    #[must_use]
    pub fn force(&self, force: Force) -> BreakerStep {
        let (kind, ttl) = match force {
            Force::Open(ttl) => (StepKind::ForceOpen, ttl),
            Force::Closed(ttl) => (StepKind::ForceClosed, ttl),
            Force::Reset => (StepKind::Reset, Duration::ZERO),
        };
        let mut step = self.step(kind, Outcomes::default(), None);
        // A state that ends at once can't be stored.
        step.input.ttl = micros(ttl).max(1);
        step
    }

    fn step(&self, kind: StepKind, outcomes: Outcomes, token: Option<ProbeToken>) -> BreakerStep {
        let [good, slow, failed] = [outcomes.good, outcomes.slow, outcomes.failed].map(i64::from);
        let input = Input {
            kind,
            instance: self.instance.0,
            jitter: i64::from(u32::from_le_bytes(self.random.bytes())) % (machine::MAX_JITTER + 1),
            generation: outcomes.generation.0,
            calls: Calls {
                total: good + slow + failed,
                failed,
                slow,
            },
            token: token.map_or(0, |token| token.0),
            ttl: 1,
        };
        BreakerStep {
            key: self.key.clone(),
            rules: self.rules,
            input,
        }
    }
}

/// One step of a breaker. [`BreakerReply::read`](super::BreakerReply::read) parses its reply.
#[derive(Clone, Debug)]
pub struct BreakerStep {
    key: Arc<[String; 1]>,
    rules: Rules,
    input: Input,
}

impl Step for BreakerStep {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn keys(&self) -> &[String] {
        &*self.key
    }

    fn arguments(&self) -> Vec<i64> {
        let Rules {
            min_calls,
            ratio_percent,
            quorum,
            open_min,
            open_max,
            lease,
        } = self.rules;
        let Input {
            kind,
            instance,
            jitter,
            generation,
            calls,
            token,
            ttl,
        } = self.input;
        vec![
            kind as i64,
            instance,
            jitter,
            generation,
            calls.total,
            calls.failed,
            calls.slow,
            token,
            ttl,
            min_calls,
            ratio_percent,
            quorum,
            open_min,
            open_max,
            lease,
        ]
    }

    fn apply(&self, now: Micros, values: &[Option<Bytes>]) -> Applied {
        let mut record = BreakerRecord::parse(values.first().and_then(Option::as_deref));
        let effect = record.step(now, &self.rules, &self.input);
        let write = match effect {
            Effect::Nothing => Write::Keep,
            Effect::Changed | Effect::Transitioned(_) => {
                let ttl = record.ttl(now, &self.rules).unsigned_abs().div_ceil(1000);
                Write::Put(record.print().into(), Duration::from_millis(ttl))
            }
        };
        let transition = if let Effect::Transitioned(transition) = effect {
            transition
        } else {
            0
        };
        let (status, wait) = record.status(now, &self.rules, self.input.token);
        Applied {
            writes: vec![write],
            reply: vec![status, record.generation, wait, transition],
        }
    }
}
