//! The state that instances share.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{milliseconds, seconds};
use crate::config::Env;

/// Where the state that instances share is.
pub struct SharedStateSettings {
    /// `REDIS_URL`: `redis://` or `rediss://` with user and password where needed. Not set: nothing is cached between
    /// requests (DynamoDB is asked each time), and a login is idempotent within one instance only.
    pub redis_url: Option<SecretString>,
    /// `REDIS_TIMEOUT_MS`: how long a request may wait for Redis, all its questions together, before it goes on without,
    /// 5 ms to 5 s. Default 50.
    pub redis_timeout: Duration,
}

impl SharedStateSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let redis_url = env.get("REDIS_URL").map(SecretString::from);
        if let Some(url) = &redis_url
            && redis::IntoConnectionInfo::into_connection_info(url.expose_secret()).is_err()
        {
            env.problem("REDIS_URL", "is not a redis:// or rediss:// URL");
        }
        Self { redis_url, redis_timeout: milliseconds(env.number("REDIS_TIMEOUT_MS", 50, 5..=5000)) }
    }
}

/// How long shared state vouches for what DynamoDB said.
pub struct CacheSettings {
    /// `SESSION_CACHE_SECONDS`: for a session, 1 s to 1 h. Default 300. It bounds how long a session can outlive its
    /// logout when Redis was out of reach at that moment.
    pub session: Duration,
    /// `PROFILE_CACHE_SECONDS`: for a profile, 1 s to 1 day. Default 600.
    pub profile: Duration,
}

impl CacheSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            session: seconds(env.number("SESSION_CACHE_SECONDS", 300, 1..=3600)),
            profile: seconds(env.number("PROFILE_CACHE_SECONDS", 600, 1..=86_400)),
        }
    }
}
