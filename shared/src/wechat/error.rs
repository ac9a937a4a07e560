//! The errors of calls to WeChat. Their texts never contain the URL, which carries the AppSecret.

use thiserror::Error;

use crate::resilience::{Denied, bulkhead::AtCapacity, guard::CircuitOpen};

/// Why a call to WeChat failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WeChatError {
    /// 40029: the code is wrong or expired.
    #[error("WeChat: the code is wrong or expired")]
    CodeInvalid,
    /// 40163: the code was used.
    #[error("WeChat: the code was used before")]
    CodeUsed,
    /// 40029 of getPhoneNumber: the phone code is wrong, used, expired or of another user.
    #[error("WeChat: the phone code is wrong, used, expired or of another user")]
    PhoneCodeInvalid,
    /// 40226: WeChat considers this user high-risk.
    #[error("WeChat: the user is blocked as high-risk")]
    UserBlocked,
    /// 87007, 87009: WeChat has replaced or ended the `session_key`.
    #[error("WeChat: the session_key is not the current one")]
    SessionKeyStale,
    /// 40001, 40014, 42001: the access token is no longer valid.
    #[error("WeChat: the access token is stale (errcode {0})")]
    AccessTokenStale(i64),
    /// 61010: the user was not in the mini-program within the last two hours.
    #[error("WeChat: the user was not active recently")]
    UserInactive,
    /// 45011, 44991: too many calls within a minute.
    #[error("WeChat: called too often")]
    Throttled,
    /// 45009: the mini-program's daily quota is exceeded.
    #[error("WeChat: the API's quota of the day is spent")]
    QuotaExceeded,
    /// -1: WeChat is busy.
    #[error("WeChat: busy")]
    Busy,
    /// Too many calls on behalf of one account: the request was not sent.
    #[error("calls to WeChat on behalf of one account: {0}")]
    AccountLimited(#[from] Denied),
    /// Too many calls are in flight: the request was not sent.
    #[error(transparent)]
    TooManyInFlight(#[from] AtCapacity),
    /// The circuit breaker is open: the request was not sent.
    #[error(transparent)]
    CircuitOpen(#[from] CircuitOpen),
    /// AppID, AppSecret or another setting is wrong.
    #[error("WeChat refuses our configuration (errcode {errcode}): {remedy}")]
    Misconfigured {
        /// WeChat's errcode.
        errcode: i64,
        /// The remedy.
        remedy: &'static str,
    },
    /// An errcode that is not mapped.
    #[error("WeChat: unexpected errcode {0}")]
    Unexpected(i64),
    /// No connection: the request was not sent.
    #[error("WeChat: no connection: {0}")]
    Connect(String),
    /// Sent, and no response in time: it may have been carried out.
    #[error("WeChat: no answer in time")]
    Timeout,
    /// Sent, and the connection broke: it may have been carried out.
    #[error("WeChat: the connection broke: {0}")]
    ConnectionLost(String),
    /// An HTTP status that is not 200.
    #[error("WeChat: HTTP status {0}")]
    Status(u16),
    /// Not JSON, or not what is documented.
    #[error("WeChat: unreadable answer: {0}")]
    Unreadable(String),
}

impl WeChatError {
    /// Whether the call may have used up the single-use code that it sent.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::ConnectionLost(_)
                | Self::Status(_)
                | Self::Unreadable(_)
                | Self::Unexpected(_)
        )
    }

    /// Whether the circuit breaker counts it as a failure: no response, or no usable one.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Timeout
            | Self::ConnectionLost(_)
            | Self::Unreadable(_)
            | Self::Busy => true,
            Self::Status(status) => *status >= 500,
            _ => false,
        }
    }

    /// Whether a retry is safe: the call was not sent, or it is `idempotent`.
    pub(super) fn is_transient(&self, idempotent: bool) -> bool {
        matches!(self, Self::Connect(_))
            || (idempotent && self.is_failure() && !matches!(self, Self::Timeout))
    }

    /// The label in metrics, for errors without an errcode.
    pub(super) fn metric_label(&self) -> String {
        match self {
            Self::Connect(_) => "connect".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::ConnectionLost(_) => "broken".to_owned(),
            Self::Status(status) => format!("http_{status}"),
            Self::Unreadable(_) => "unreadable".to_owned(),
            _ => "other".to_owned(),
        }
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
            Self::ConnectionLost(text)
        }
    }
}
