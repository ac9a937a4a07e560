//! How long values are kept, here and by clients.

use std::time::Duration;

use shared::config::{Env, Period};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in Redis;

    CONFIG_CACHE_SECONDS: Period = Period::seconds(60, 1..=86_400),
        "how long a cached value of remote configuration is believed",
        "远程配置缓存的有效时间";
    CONFIG_STALE_SECONDS: Period = Period::seconds(600, 0..=86_400),
        "how much longer it is served while DynamoDB does not answer; 0: not at all",
        "DynamoDB 无响应时，过期的远程配置最多还能再用多久；0 表示不使用过期值";
    CONFIG_MAX_AGE_SECONDS: Period = Period::seconds(60, 0..=86_400),
        "how long clients may keep a value of remote configuration (`max-age`); 0: they ask each time",
        "客户端可以缓存远程配置多久（`max-age`）；0 表示每次都询问";
}

/// How long values are kept.
pub struct RemoteConfigSettings {
    /// `CONFIG_CACHE_SECONDS`: in shared state.
    pub cache_ttl: Duration,
    /// `CONFIG_STALE_SECONDS`: there, after that, where it has to be.
    pub stale: Duration,
    /// `CONFIG_MAX_AGE_SECONDS`: by clients.
    pub max_age: Duration,
}

impl RemoteConfigSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            cache_ttl: CONFIG_CACHE_SECONDS.read(env),
            stale: CONFIG_STALE_SECONDS.read(env),
            max_age: CONFIG_MAX_AGE_SECONDS.read(env),
        }
    }
}
