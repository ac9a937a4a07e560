//! Whether WeChat checks what users show to others.

use crate::{
    config::{Env, Words},
    settings,
};

settings! {
    /// The settings of content checks.
    pub DOCUMENTED in WeChat;

    CONTENT_CHECK: Words<bool> = Words::new(&["on", "off"], &[true, false], 1),
        "whether WeChat checks nicknames (msgSecCheck) and uploaded avatars (mediaCheckAsync)",
        "昵称（msgSecCheck）和上传的头像（mediaCheckAsync）是否送微信做内容安全检测";
    CONTENT_CHECK_ON_FAILURE: Words<OnFailure> =
        Words::new(&["refuse", "allow"], &[OnFailure::Refuse, OnFailure::Allow], 0),
        "what happens to a nickname or an avatar that WeChat can't check at the moment",
        "微信暂时无法检测昵称或头像时：`refuse` 拒绝，`allow` 放行";
}

/// Whether WeChat checks what users show to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentCheckSettings {
    /// `CONTENT_CHECK`: whether WeChat is asked.
    pub on: bool,
    /// `CONTENT_CHECK_ON_FAILURE`.
    pub on_failure: OnFailure,
}

/// What happens to content that WeChat can't check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is not shown.
    Refuse,
    /// It is shown unchecked.
    Allow,
}

impl OnFailure {
    /// Reads the setting; a config error is recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        CONTENT_CHECK_ON_FAILURE.read(env)
    }
}

impl ContentCheckSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            on: CONTENT_CHECK.read(env),
            on_failure: OnFailure::read(env),
        }
    }
}
