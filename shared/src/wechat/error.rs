//! How a call to WeChat can end, in words that don't hold the URL: it carries the AppSecret.

use thiserror::Error;

/// Why WeChat did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WeChatError {
    /// 40029: the code is wrong or expired.
    #[error("WeChat: the code is wrong or expired")]
    CodeInvalid,
    /// 40163: the code was used.
    #[error("WeChat: the code was used before")]
    CodeUsed,
    /// 40226: WeChat holds this user for high-risk.
    #[error("WeChat: the user is blocked as high-risk")]
    UserBlocked,
    /// 45011: too many calls.
    #[error("WeChat: called too often")]
    Throttled,
    /// -1: WeChat is busy.
    #[error("WeChat: busy")]
    Busy,
    /// AppID or AppSecret is wrong, or the like: ours to repair.
    #[error("WeChat refuses our configuration (errcode {errcode}): {remedy}")]
    Misconfigured {
        /// WeChat's code.
        errcode: i64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// An errcode without a meaning here.
    #[error("WeChat: unexpected errcode {0}")]
    Unexpected(i64),
    /// No connection: the request was not sent.
    #[error("WeChat: no connection: {0}")]
    Connect(String),
    /// Sent, and no answer in time: it may have been carried out.
    #[error("WeChat: no answer in time")]
    Timeout,
    /// Sent, and the connection broke: it may have been carried out.
    #[error("WeChat: the connection broke: {0}")]
    Broken(String),
    /// An HTTP status that is not 200.
    #[error("WeChat: HTTP status {0}")]
    Status(u16),
    /// Not JSON, or not what is documented.
    #[error("WeChat: unreadable answer: {0}")]
    Unreadable(String),
}

impl WeChatError {
    /// Whether a single-use code that was sent may have been used up by the call.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Timeout | Self::Broken(_) | Self::Status(_) | Self::Unreadable(_) | Self::Unexpected(_))
    }

    /// A transport error, without the URL.
    pub(super) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let text = crate::telemetry::describe(&error);
        if error.is_connect() {
            Self::Connect(text)
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_decode() {
            Self::Unreadable(text)
        } else {
            Self::Broken(text)
        }
    }
}
