//! What is accepted of data that WeChat encrypts for a user.

use std::time::Duration;

use crate::{
    config::{Env, Period},
    settings,
};

settings! {
    /// The settings of data that WeChat encrypts.
    pub DOCUMENTED in WeChat;

    WATERMARK_MAX_AGE_SECONDS: Period = Period::seconds(300, 10..=86_400),
        "how old data that WeChat encrypted may be, by its own watermark",
        "微信加密数据按水印时间计的最长有效时间";
}

/// What is accepted of data that WeChat encrypts for a user.
pub struct UserDataSettings {
    /// `WATERMARK_MAX_AGE_SECONDS`: how old data may be by its watermark. The default is as long as
    /// WeChat's codes live.
    pub watermark_max_age: Duration,
}

impl UserDataSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            watermark_max_age: WATERMARK_MAX_AGE_SECONDS.read(env),
        }
    }
}
