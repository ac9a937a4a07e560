//! How long cached rows are believed.

use std::time::Duration;

use crate::{
    config::{Env, Period},
    settings,
};

settings! {
    /// The settings of caches.
    pub DOCUMENTED in Redis;

    SESSION_CACHE_SECONDS: Period = Period::seconds(300, 1..=3600),
        "how long a cached session is believed; bounds how long a session can outlive its logout when Redis was unreachable at that moment",
        "会话缓存的有效时间；注销时若 Redis 不可达，会话最多再存活这么久";
    PROFILE_CACHE_SECONDS: Period = Period::seconds(600, 1..=86_400),
        "how long a cached profile is believed",
        "用户资料缓存的有效时间";
}

/// How long rows of DynamoDB are believed that are cached in shared state.
pub struct CacheSettings {
    /// `SESSION_CACHE_SECONDS`: sessions.
    pub session: Duration,
    /// `PROFILE_CACHE_SECONDS`: profiles.
    pub profile: Duration,
}

impl CacheSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            session: SESSION_CACHE_SECONDS.read(env),
            profile: PROFILE_CACHE_SECONDS.read(env),
        }
    }
}
