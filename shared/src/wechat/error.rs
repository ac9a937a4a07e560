//! The errors of calls to WeChat. Their texts never contain the URL, which carries the AppSecret.

use std::net::IpAddr;

use serde::Deserialize;
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
    /// 43101: the user did not agree to another message of this template, or no longer does.
    #[error("WeChat: the user has not agreed to another message")]
    NotSubscribed,
    /// 45015: the user's last message to customer service is too long ago.
    #[error("WeChat: the time for a reply is over")]
    ReplyWindowClosed,
    /// 45047: the user's last message was replied to as often as WeChat allows.
    #[error("WeChat: too many replies")]
    TooManyReplies,
    /// 40003, 40037, 41030, 47003 and others of messages: this message can never be sent.
    #[error("WeChat: the message is not acceptable (errcode {0})")]
    MessageInvalid(i64),
    /// 41030, 40165, 40212 and others: a code or a link can't lead there.
    #[error("WeChat: the page, scene or query is not acceptable (errcode {0})")]
    TargetInvalid(i64),
    /// 45011, 44990, 44991: too many calls within a minute.
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
    #[error("WeChat refuses our configuration (errcode {errcode}): {remedy}{}", seen(*address))]
    Misconfigured {
        /// WeChat's errcode.
        errcode: i64,
        /// The remedy.
        remedy: &'static str,
        /// Our address, as WeChat saw it and said.
        address: Option<IpAddr>,
    },
    /// An errcode that is not mapped.
    #[error("WeChat: unexpected errcode {0}")]
    Unexpected(i64),
    /// No connection: the request was not sent.
    #[error("WeChat: no connection: {0}")]
    Connect(String),
    /// There is no access token, for this reason: the request was not carried out. Of calls that send
    /// something, whose other errors can mean that they did.
    #[error("not sent, without an access token: {0}")]
    NoAccessToken(Box<WeChatError>),
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
    /// Whether WeChat may have carried out the call: used up its single-use code, or sent its message.
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

    /// With the address that WeChat names in the message of its refusal. Nothing else of the message is kept: it
    /// can quote what was sent.
    pub(super) fn with_address(mut self, body: &[u8]) -> Self {
        if let Self::Misconfigured { address, .. } = &mut self {
            *address = named_address(body);
        }
        self
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

/// The end of a message about an address.
fn seen(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| {
        format!("; WeChat saw the address {address}")
    })
}

/// The address in `invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: …`. An address of IPv4 may
/// be written as one of IPv6.
fn named_address(body: &[u8]) -> Option<IpAddr> {
    #[derive(Deserialize)]
    struct Refusal {
        errmsg: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let mut words = refusal.errmsg.split([' ', ',']);
    let address: IpAddr = words.find_map(|word| word.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use crate::wechat::errcode;

    fn refused(errcode: i64, errmsg: &str) -> String {
        let body = serde_json::json!({"errcode": errcode, "errmsg": errmsg}).to_string();
        errcode::code_to_session(errcode)
            .with_address(body.as_bytes())
            .to_string()
    }

    #[test]
    fn the_address_that_is_not_on_the_whitelist_is_named() {
        for errmsg in [
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 65c4-1-2",
            "invalid ip ::ffff:203.0.113.7, not in whitelist",
        ] {
            let text = refused(40164, errmsg);
            assert!(
                text.ends_with("in the console; WeChat saw the address 203.0.113.7"),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_else_of_a_message_is_repeated() {
        let text = refused(40125, "invalid appsecret s3cret 203.0.113 rid: 65c4-1-2");
        assert!(text.ends_with("the mini-program's console"), "{text}");
        let text = refused(40029, "invalid code 203.0.113.7");
        assert_eq!(text, "WeChat: the code is wrong or expired");
        let unreadable = errcode::code_to_session(40164).with_address(b"{\"errcode\":40164}");
        assert!(unreadable.to_string().ends_with("in the console"));
    }
}
