//! An operator's access to a breaker: reads its status, and forces it.

use std::time::Duration;

use serde::Serialize;

use super::{
    Breaker, BreakerError, BreakerReply, BreakerStatus, Force, InstanceId, Outcomes, Probe,
    Snapshot,
};
use crate::{
    config::BreakerSettings,
    kv::{Delivery, Kv, KvError},
    random::Random,
    telemetry::OrDegraded,
};

/// Observes a breaker that all instances share; reading its status never changes it. Cheap to
/// clone.
#[derive(Clone)]
pub struct Observer {
    name: &'static str,
    kv: Kv,
    breaker: Breaker,
}

/// The status of a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BreakerReport {
    /// The upstream that it protects.
    pub name: &'static str,
    /// `closed`, `half-open` or `open`.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["closed", "half-open", "open"])))]
    pub state: &'static str,
    /// Whether an administrator forced this state.
    pub forced: bool,
    /// Milliseconds after which the state may change; 0 while it is closed.
    pub retry_after_ms: u64,
    /// Calls of the last 10 s that were reported to it.
    pub calls: u64,
    /// Failed calls among them.
    pub failed: u64,
    /// Calls among them that took too long.
    pub slow: u64,
    /// Instances with failed or slow calls.
    pub failing_instances: usize,
}

impl Observer {
    /// An observer of the breaker `name` in `kv`.
    ///
    /// # Errors
    /// [`BreakerError`] for settings that can't work.
    pub fn new(
        name: &'static str,
        settings: &BreakerSettings,
        kv: Kv,
        random: Random,
    ) -> Result<Self, BreakerError> {
        let breaker = Breaker::new(name, settings, InstanceId::draw(&random), random)?;
        Ok(Self { name, kv, breaker })
    }

    /// Its status; `None` while the store is unavailable.
    pub async fn report(&self) -> Option<BreakerReport> {
        self.inspect().await.or_degraded("circuit breaker")
    }

    /// Its status, or why it is unavailable.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached.
    pub async fn inspect(&self) -> Result<BreakerReport, KvError> {
        let check = self.breaker.check(Outcomes::default());
        let replies = self
            .kv
            .ask(&[&check], [self.breaker.key()], Delivery::BestEffort)
            .await?;
        let [stored] = replies.values;
        let stored = stored?;
        let reply = replies
            .steps
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(KvError::unexpected("a breaker")))?;
        Ok(self.describe(
            &BreakerReply::read(&reply)?,
            Snapshot::read(stored.as_deref()),
        ))
    }

    /// Forces it open or closed, or resets it.
    ///
    /// # Errors
    /// [`KvError`] when the store can't be reached.
    pub async fn force(&self, force: Force) -> Result<(), KvError> {
        self.kv
            .step(&self.breaker.force(force), Delivery::Required)
            .await
            .map(drop)
    }

    fn describe(&self, reply: &BreakerReply, snapshot: Snapshot) -> BreakerReport {
        let (state, wait) = match reply.status {
            BreakerStatus::Closed => ("closed", Duration::ZERO),
            BreakerStatus::Open { retry_after } => ("open", retry_after),
            BreakerStatus::HalfOpen(Probe::Free) => ("half-open", Duration::ZERO),
            BreakerStatus::HalfOpen(Probe::Yours(wait) | Probe::Taken(wait)) => ("half-open", wait),
        };
        BreakerReport {
            name: self.name,
            state,
            forced: snapshot.forced_open.is_some(),
            retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            calls: snapshot.calls,
            failed: snapshot.failed,
            slow: snapshot.slow,
            failing_instances: snapshot.failing_instances,
        }
    }
}
