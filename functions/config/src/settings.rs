//! How long values are kept, here and by clients.

use std::time::Duration;

use shared::config::{ConfigCacheSettings, Env, Period};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in Redis;

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
        let ConfigCacheSettings { ttl, stale } = ConfigCacheSettings::read(env);
        Self {
            cache_ttl: ttl,
            stale,
            max_age: CONFIG_MAX_AGE_SECONDS.read(env),
        }
    }
}
