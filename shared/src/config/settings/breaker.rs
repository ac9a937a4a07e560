//! The circuit breaker in front of WeChat.

use std::time::Duration;

use super::milliseconds;
use crate::config::Env;

/// When calls to WeChat stop, and how they start again.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// `BREAKER_MIN_CALLS`: fewer calls in 10 s than this prove nothing, 1 to 10000. Default 20.
    pub min_calls: u32,
    /// `BREAKER_FAILURE_PERCENT`: of the calls of the last 10 s failed or slow, 1 to 100. Default 50.
    pub failure_percent: u32,
    /// `BREAKER_QUORUM`: as many instances must see failures, 1 to 8. Default 2: one sick instance stops only itself.
    pub quorum: u32,
    /// `BREAKER_SLOW_MS`: a call that takes longer counts like a failed one, 50 ms to 20 s. Default 2000.
    pub slow: Duration,
    /// `BREAKER_OPEN_MS`: how long no call is made, at first, 100 ms to 60 s. Default 5000. Doubles while probes fail.
    pub open: Duration,
    /// `BREAKER_OPEN_MAX_MS`: how long at the most, 100 ms to 10 min. Default 60000.
    pub open_max: Duration,
    /// `BREAKER_PROBE_MS`: how long one probe keeps the others waiting, 100 ms to 60 s. Default 5000; above
    /// `WECHAT_TIMEOUT_MS`, so that a probe that lives is never overtaken.
    pub probe: Duration,
}

impl BreakerSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let settings = Self {
            min_calls: env.number("BREAKER_MIN_CALLS", 20, 1..=10_000),
            failure_percent: env.number("BREAKER_FAILURE_PERCENT", 50, 1..=100),
            quorum: env.number("BREAKER_QUORUM", 2, 1..=8),
            slow: milliseconds(env.number("BREAKER_SLOW_MS", 2000, 50..=20_000)),
            open: milliseconds(env.number("BREAKER_OPEN_MS", 5000, 100..=60_000)),
            open_max: milliseconds(env.number("BREAKER_OPEN_MAX_MS", 60_000, 100..=600_000)),
            probe: milliseconds(env.number("BREAKER_PROBE_MS", 5000, 100..=60_000)),
        };
        if settings.open > settings.open_max {
            env.problem("BREAKER_OPEN_MS", "is above BREAKER_OPEN_MAX_MS");
        }
        settings
    }
}
