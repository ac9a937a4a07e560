//! How long sessions and their tokens live. Without the secrets that tokens are made with: a
//! function that only ends sessions is not given those.

use std::time::Duration;

use super::seconds;
use crate::config::Env;

/// How long sessions and their tokens live.
pub struct SessionSettings {
    /// `ACCESS_TOKEN_SECONDS`: life of an access token, 10 min to 1 day. Default 7200 (2 h). A
    /// repeated login or refresh gets the first one's token again for up to 5 min, so it must live
    /// longer than that.
    pub access_life: Duration,
    /// `REFRESH_TOKEN_SECONDS`: a session ends when it is not refreshed for this long, 1 h to 1
    /// year. Default 2592000 (30 d).
    pub refresh_life: Duration,
    /// `REFRESH_GRACE_SECONDS`: how long the refresh token one step behind still gets its
    /// successor, 0 s to 5 min. Default 60. With 0 nobody gets a second chance, not even after an
    /// answer that we lost ourselves.
    pub refresh_grace: Duration,
}

impl SessionSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            access_life: seconds(env.number("ACCESS_TOKEN_SECONDS", 7200, 600..=86_400)),
            refresh_life: seconds(env.number(
                "REFRESH_TOKEN_SECONDS",
                2_592_000,
                3600..=31_536_000,
            )),
            refresh_grace: seconds(env.number("REFRESH_GRACE_SECONDS", 60, 0..=300)),
        }
    }
}
