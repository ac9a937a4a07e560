//! Keys that may have changed since the start: fetched again when a token names an unknown one.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::{
    clock::Clock,
    config::{Env, FetchTimeouts, JWT_KEYS, JWT_SECRETS, References},
    telemetry,
};

/// Unknown keys cost at most one fetch in this many seconds.
const MIN_INTERVAL: i64 = 60;
/// The request that brought the unknown key waits this long.
const FETCH_TIMEOUTS: FetchTimeouts = FetchTimeouts {
    readiness: Duration::ZERO,
    total: Duration::from_secs(2),
};

/// Where the keys of tokens come from, where that is not the environment itself.
pub(super) struct KeySource {
    references: References,
    clock: Clock,
    /// When the last fetch began. Locked while it runs, so that requests which come meanwhile wait
    /// for its outcome.
    last: Mutex<Option<i64>>,
}

impl KeySource {
    /// `None` where the keys stand in the environment.
    pub(super) fn of(env: &Env, clock: Clock) -> Option<Self> {
        let references = References::of(&env.unresolved()?)?;
        let is_needed = references.covers(&[JWT_KEYS.name(), JWT_SECRETS.name()]);
        is_needed.then(|| Self {
            references,
            clock,
            last: Mutex::default(),
        })
    }

    /// Fetches the settings, builds what the caller makes of them, and returns that; `None` when
    /// that was done a short time ago. What can't be fetched or used is logged, and is `None` too.
    pub(super) async fn fetch_again<T>(&self, build: impl FnOnce(&Env) -> T) -> Option<T> {
        let mut last = self.last.lock().await;
        let now = self.clock.now_seconds();
        if last.is_some_and(|last| (0..MIN_INTERVAL).contains(&(now - last))) {
            return None;
        }
        *last = Some(now);
        let outcome = match self.references.resolve(FETCH_TIMEOUTS).await {
            Ok(env) => {
                let made = build(&env);
                env.validate().map(|()| made)
            }
            Err(error) => Err(error.into_config_errors()),
        };
        outcome
            .inspect_err(|errors| telemetry::degraded("keys", errors))
            .ok()
    }
}
