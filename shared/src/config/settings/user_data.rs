//! What is accepted of data that WeChat encrypts for a user.

use std::time::Duration;

use super::seconds;
use crate::config::Env;

/// What is accepted of data that WeChat encrypts for a user.
pub struct UserDataSettings {
    /// `WATERMARK_MAX_AGE_SECONDS`: how old data may be by WeChat's own mark, 10 s to a day.
    /// Default 300, as long as WeChat's codes live.
    pub watermark_max_age: Duration,
}

impl UserDataSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            watermark_max_age: seconds(env.number("WATERMARK_MAX_AGE_SECONDS", 300, 10..=86_400)),
        }
    }
}
