//! The circuit breaker in front of WeChat.

use std::time::Duration;

use crate::{
    config::{Env, Number, Period},
    settings,
};

settings! {
    /// The settings of the circuit breaker.
    pub DOCUMENTED in Breaker;

    BREAKER_MIN_CALLS: Number = Number::new(20, 1..=10_000),
        "with fewer calls to WeChat than this in 10 s, nothing is concluded",
        "10 秒内对微信的调用少于此数时不作判断";
    BREAKER_FAILURE_PERCENT: Number = Number::new(50, 1..=100),
        "percentage of failed or slow calls that opens the breaker: no calls for a while",
        "失败或过慢的调用达到该百分比即熔断，一段时间内不再调用";
    BREAKER_QUORUM: Number = Number::new(2, 1..=8),
        "number of instances that must see failures; a single instance in trouble stops only itself",
        "至少这么多个实例都遇到失败才熔断；单个实例自身有问题时只熔断该实例";
    BREAKER_SLOW_MS: Period = Period::milliseconds(2000, 50..=20_000),
        "a call to WeChat that takes longer counts as failed",
        "对微信的调用超过此时间按失败计";
    BREAKER_OPEN_MS: Period = Period::milliseconds(5000, 100..=60_000),
        "how long the breaker stays open at first; doubles while probes fail",
        "首次熔断的时长；探测失败则加倍";
    BREAKER_OPEN_MAX_MS: Period = Period::milliseconds(60_000, 100..=600_000),
        "how long the breaker stays open at most; not below `BREAKER_OPEN_MS`",
        "熔断的最长时长，不小于 `BREAKER_OPEN_MS`";
    BREAKER_PROBE_MS: Period = Period::milliseconds(5000, 100..=60_000),
        "how long a probe keeps other calls waiting; should be above `WECHAT_TIMEOUT_MS`",
        "一次探测最多让其他调用等待的时间，应大于 `WECHAT_TIMEOUT_MS`";
}

/// When calls to an upstream stop, and how they start again. The window is ten buckets of one
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// `BREAKER_MIN_CALLS`: with fewer calls in the window, nothing is concluded.
    pub min_calls: u32,
    /// `BREAKER_FAILURE_PERCENT`: of the calls in the window failed or slow.
    pub ratio_percent: u32,
    /// `BREAKER_QUORUM`: this many instances must have had such calls.
    pub quorum: u32,
    /// `BREAKER_SLOW_MS`: a call that takes this long counts as slow. The caller measures it.
    pub slow_call: Duration,
    /// `BREAKER_OPEN_MS`: how long it stays open at first. Doubles with each opening that follows.
    pub open_min: Duration,
    /// `BREAKER_OPEN_MAX_MS`: how long it stays open at most. Jitter adds up to a fifth to either.
    pub open_max: Duration,
    /// `BREAKER_PROBE_MS`: a probe that was not reported after this is considered lost. Above
    /// `WECHAT_TIMEOUT_MS`, so that a running one is never overtaken.
    pub lease: Duration,
}

impl BreakerSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let mut settings = Self {
            min_calls: BREAKER_MIN_CALLS.read(env),
            ratio_percent: BREAKER_FAILURE_PERCENT.read(env),
            quorum: BREAKER_QUORUM.read(env),
            slow_call: BREAKER_SLOW_MS.read(env),
            open_min: BREAKER_OPEN_MS.read(env),
            open_max: BREAKER_OPEN_MAX_MS.read(env),
            lease: BREAKER_PROBE_MS.read(env),
        };
        if settings.open_min > settings.open_max {
            let what = format!("is above {}", BREAKER_OPEN_MAX_MS.name());
            BREAKER_OPEN_MS.add_error(env, what);
            settings.open_max = settings.open_min;
        }
        settings
    }
}

/// With nothing set.
impl Default for BreakerSettings {
    fn default() -> Self {
        Self::read(&Env::new::<String, String>([]))
    }
}
