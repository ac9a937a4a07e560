//! How long the state that instances share is believed.

use std::time::Duration;

use super::seconds;
use crate::config::Env;

/// How long shared state vouches for what DynamoDB said.
pub struct CacheSettings {
    /// `SESSION_CACHE_SECONDS`: for a session, 1 s to 1 h. Default 300. It bounds how long a
    /// session can outlive its logout when Redis was out of reach at that moment.
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
