//! The circuit breaker in front of WeChat.

use std::time::Duration;

use super::milliseconds;
use crate::config::Env;

/// When calls to an upstream stop, and how they start again. The window is ten buckets of one
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// `BREAKER_MIN_CALLS`: fewer calls in the window than this prove nothing, 1 to 10000. Default
    /// 20.
    pub min_calls: u32,
    /// `BREAKER_FAILURE_PERCENT`: of the calls in the window failed or slow, 1 to 100. Default 50.
    pub ratio_percent: u32,
    /// `BREAKER_QUORUM`: so many instances must have had such calls, 1 to 8. Default 2: one sick
    /// instance stops only itself.
    pub quorum: u32,
    /// `BREAKER_SLOW_MS`: a call that takes this long counts as slow, 50 ms to 20 s. Default 2000.
    /// The caller's to measure.
    pub slow_call: Duration,
    /// `BREAKER_OPEN_MS`: how long it stays open at first, 100 ms to 60 s. Default 5000. Doubles
    /// with each opening that follows.
    pub open_min: Duration,
    /// `BREAKER_OPEN_MAX_MS`: how long it stays open at the most, 100 ms to 10 min. Default 60000.
    /// Jitter adds up to a fifth to either.
    pub open_max: Duration,
    /// `BREAKER_PROBE_MS`: a probe that was not reported after this is taken for dead, 100 ms to 60
    /// s. Default 5000; above `WECHAT_TIMEOUT_MS`, so that one that lives is never overtaken.
    pub lease: Duration,
}

impl BreakerSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut settings = Self {
            min_calls: env.number("BREAKER_MIN_CALLS", 20, 1..=10_000),
            ratio_percent: env.number("BREAKER_FAILURE_PERCENT", 50, 1..=100),
            quorum: env.number("BREAKER_QUORUM", 2, 1..=8),
            slow_call: milliseconds(env.number("BREAKER_SLOW_MS", 2000, 50..=20_000)),
            open_min: milliseconds(env.number("BREAKER_OPEN_MS", 5000, 100..=60_000)),
            open_max: milliseconds(env.number("BREAKER_OPEN_MAX_MS", 60_000, 100..=600_000)),
            lease: milliseconds(env.number("BREAKER_PROBE_MS", 5000, 100..=60_000)),
        };
        if settings.open_min > settings.open_max {
            env.problem("BREAKER_OPEN_MS", "is above BREAKER_OPEN_MAX_MS");
            settings.open_max = settings.open_min;
        }
        settings
    }
}

/// As nothing is set.
impl Default for BreakerSettings {
    fn default() -> Self {
        Self::read(&Env::new::<String, String>([]))
    }
}
