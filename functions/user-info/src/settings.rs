//! Whether WeChat checks what users write.

use shared::config::{Env, Words};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in WeChat;

    CONTENT_CHECK: Words<bool> = Words::new(&["on", "off"], &[true, false], 1),
        "whether WeChat checks nicknames (msgSecCheck)",
        "昵称是否送微信做内容安全检测（msgSecCheck）";
    CONTENT_CHECK_ON_FAILURE: Words<OnFailure> =
        Words::new(&["refuse", "allow"], &[OnFailure::Refuse, OnFailure::Allow], 0),
        "what happens to a nickname that WeChat can't check at the moment",
        "微信暂时无法检测时：`refuse` 拒绝，`allow` 放行";
}

/// Whether WeChat checks what users write.
pub struct ContentCheckSettings {
    /// `CONTENT_CHECK`: whether msgSecCheck is called for nicknames.
    pub on: bool,
    /// `CONTENT_CHECK_ON_FAILURE`.
    pub on_failure: OnFailure,
}

/// What happens to a text that WeChat can't check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is not written.
    Refuse,
    /// It is written unchecked.
    Allow,
}

impl ContentCheckSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            on: CONTENT_CHECK.read(env),
            on_failure: CONTENT_CHECK_ON_FAILURE.read(env),
        }
    }
}
