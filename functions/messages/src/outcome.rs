//! What WeChat's answer means for a message.
//!
//! Sending is not idempotent. So what counts is whether WeChat may have taken the message: if it may, the
//! message is never sent again.

use std::time::Duration;

use shared::wechat::WeChatError;

use crate::pauses::Pause;

/// A message is not sent for so long after WeChat refused this service's configuration: somebody has to
/// put it right.
const MISCONFIGURED: Duration = Duration::from_mins(10);

/// What becomes of a message that was not sent. The words are those of `docs/messages.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The user does not want it, or may not be sent it now.
    Refused(&'static str),
    /// It can never be sent.
    Failed(&'static str, Option<i64>),
    /// It is unknown whether WeChat took it.
    Unconfirmed(&'static str),
    /// WeChat did not take it, and may later.
    Later(&'static str, Pause),
}

/// What `error` means.
pub fn of(error: &WeChatError) -> NotSent {
    match error {
        WeChatError::NotSubscribed => NotSent::Refused("user_refused"),
        WeChatError::ReplyWindowClosed => NotSent::Refused("window_closed"),
        WeChatError::TooManyReplies => NotSent::Refused("too_many_replies"),
        WeChatError::MessageInvalid(errcode) => NotSent::Failed("invalid", Some(*errcode)),
        // An answer, and not that it was sent.
        WeChatError::Unexpected(errcode) => NotSent::Failed("unexpected", Some(*errcode)),
        WeChatError::QuotaExceeded => NotSent::Later("quota_exceeded", Pause::UntilTomorrow),
        WeChatError::Misconfigured { .. } => {
            NotSent::Later("misconfigured", Pause::AtLeast(MISCONFIGURED))
        }
        WeChatError::AccountLimited(denied) => {
            NotSent::Later("too_many_calls", Pause::AtLeast(denied.retry_after))
        }
        WeChatError::Busy | WeChatError::Throttled => NotSent::Later("busy", Pause::Doubling),
        WeChatError::AccessTokenStale(_) => NotSent::Later("access_token", Pause::Doubling),
        WeChatError::Status(status) if is_refusal(*status) => {
            NotSent::Later("unavailable", Pause::Doubling)
        }
        error if error.is_ambiguous() => NotSent::Unconfirmed("no_answer"),
        // The request was not sent, or WeChat does not answer this API so.
        _ => NotSent::Later("unavailable", Pause::Doubling),
    }
}

/// Whether the server that answered with this HTTP status, WeChat or a proxy before it, did not work on the
/// request. 408 says only that it took too long.
fn is_refusal(status: u16) -> bool {
    (300..=499).contains(&status) && status != 408
}

/// The same for an error before anything of the message was sent: then nothing is unknown.
pub fn before_sending(error: &WeChatError) -> NotSent {
    match of(error) {
        NotSent::Later(reason, pause) => NotSent::Later(reason, pause),
        // Whatever WeChat said was not about the message.
        _ => NotSent::Later("unavailable", Pause::Doubling),
    }
}

#[cfg(test)]
mod tests {
    use shared::resilience::bulkhead::AtCapacity;

    use super::*;

    #[test]
    fn a_message_that_wechat_may_have_taken_is_not_sent_again() {
        for error in [
            WeChatError::Timeout,
            WeChatError::ConnectionLost("reset".into()),
            WeChatError::Status(408),
            WeChatError::Status(500),
            WeChatError::Status(502),
            WeChatError::Unreadable("eof".into()),
        ] {
            assert_eq!(of(&error), NotSent::Unconfirmed("no_answer"), "{error}");
        }
    }

    #[test]
    fn a_message_that_wechat_did_not_take_is_tried_again() {
        for error in [
            WeChatError::Connect("refused".into()),
            WeChatError::Status(302),
            WeChatError::Status(403),
            WeChatError::Status(429),
            WeChatError::Busy,
            WeChatError::Throttled,
            WeChatError::AccessTokenStale(40001),
            WeChatError::NoAccessToken(Box::new(WeChatError::Timeout)),
            WeChatError::TooManyInFlight(AtCapacity("wechat")),
            WeChatError::QuotaExceeded,
            WeChatError::Misconfigured {
                errcode: 40164,
                remedy: "",
                address: None,
            },
        ] {
            assert!(matches!(of(&error), NotSent::Later(..)), "{error}");
        }
    }

    #[test]
    fn before_anything_is_sent_nothing_is_unknown() {
        for error in [
            WeChatError::Timeout,
            WeChatError::Status(500),
            WeChatError::Unexpected(99),
        ] {
            let later = NotSent::Later("unavailable", Pause::Doubling);
            assert_eq!(before_sending(&error), later, "{error}");
        }
    }

    #[test]
    fn what_users_and_wechat_refuse_is_not_tried_again() {
        let refused = NotSent::Refused("user_refused");
        assert_eq!(of(&WeChatError::NotSubscribed), refused);
        let invalid = NotSent::Failed("invalid", Some(47003));
        assert_eq!(of(&WeChatError::MessageInvalid(47003)), invalid);
        let unexpected = NotSent::Failed("unexpected", Some(99));
        assert_eq!(of(&WeChatError::Unexpected(99)), unexpected);
    }
}
