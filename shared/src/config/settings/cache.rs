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
    CONFIG_CACHE_SECONDS: Period = Period::seconds(60, 1..=86_400),
        "how long a cached value of remote configuration is believed",
        "远程配置缓存的有效时间";
    CONFIG_STALE_SECONDS: Period = Period::seconds(600, 0..=86_400),
        "how much longer it is served while DynamoDB does not answer; 0: not at all",
        "DynamoDB 无响应时，过期的远程配置最多还能再用多久；0 表示不使用过期值";
    CODE_CACHE_SECONDS: Period = Period::seconds(3600, 1..=86_400),
        "how long a mini-program code is kept for others who ask for the same; each takes 30 to 500 kB in Redis",
        "小程序码的缓存时间，期间相同请求直接使用；每个在 Redis 中占 30 至 500 kB";
    LINK_CACHE_SECONDS: Period = Period::seconds(43_200, 1..=43_200),
        "how long a URL link is kept for others who ask for the same: as much shorter than asked for it may be valid",
        "URL Link 的缓存时间，期间相同请求直接使用；返回的链接的剩余有效期最多比请求的短这么多";
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

/// How long values of remote configuration are kept in shared state.
pub struct ConfigCacheSettings {
    /// `CONFIG_CACHE_SECONDS`.
    pub ttl: Duration,
    /// `CONFIG_STALE_SECONDS`: after that, where it has to be.
    pub stale: Duration,
}

impl ConfigCacheSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            ttl: CONFIG_CACHE_SECONDS.read(env),
            stale: CONFIG_STALE_SECONDS.read(env),
        }
    }
}

/// How long what WeChat has made is kept in shared state.
pub struct CodeCacheSettings {
    /// `CODE_CACHE_SECONDS`: mini-program codes.
    pub code: Duration,
    /// `LINK_CACHE_SECONDS`: URL links. Shorter than the shortest lifetime of a link.
    pub link: Duration,
}

impl CodeCacheSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            code: CODE_CACHE_SECONDS.read(env),
            link: LINK_CACHE_SECONDS.read(env),
        }
    }
}
