//! Why a call to the queue failed.

use http::StatusCode;
use thiserror::Error;

/// Error codes of calls that can be sent again, without the prefix that some have.
const TRANSIENT: [&str; 6] = [
    "RequestThrottled",
    "ThrottlingException",
    "KmsThrottled",
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
];
/// The error code of a queue whose consumers hold as many messages as there may be.
const OVER_LIMIT: &str = "OverLimit";

/// Why a call to the queue failed. Its texts hold nothing of a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// It does not answer in time. A message may have been sent.
    #[error("queue: no answer in time")]
    Timeout,
    /// Unreachable, throttled, or failing: can be retried later.
    #[error("queue: not available: {0}")]
    Unavailable(String),
    /// It refuses the call: the queue's URL or the function's permissions are wrong, or a receipt is no
    /// longer valid.
    #[error("queue: refused with {0}; check the queue's URL and the function's permissions")]
    Refused(String),
    /// A request that can't be made.
    #[error("queue: {0}")]
    Construction(String),
}

impl QueueError {
    /// The error of an answer with this status and code.
    pub(super) fn of(status: StatusCode, code: &str) -> Self {
        let code = code.rsplit(['#', '.']).next().unwrap_or_default();
        let label = if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            format!("status {}", status.as_u16())
        } else {
            code.to_owned()
        };
        let is_transient = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || code == OVER_LIMIT
            || TRANSIENT.contains(&code);
        if is_transient {
            Self::Unavailable(label)
        } else {
            Self::Refused(label)
        }
    }

    /// Whether the same call may succeed if it is sent again at once.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable(_))
    }

    /// The label in metrics.
    pub(super) fn metric_label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Refused(_) => "refused",
            Self::Construction(_) => "construction",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_and_failing_servers_can_be_retried_and_refusals_can_not() {
        let of = |status: u16, code: &str| {
            QueueError::of(StatusCode::from_u16(status).unwrap(), code).is_transient()
        };
        for (status, code) in [
            (500, ""),
            (503, "ServiceUnavailable"),
            (429, ""),
            (400, "com.amazonaws.sqs#RequestThrottled"),
            (400, "com.amazonaws.sqs#OverLimit"),
            (403, "ThrottlingException"),
        ] {
            assert!(of(status, code), "{status} {code}");
        }
        for (status, code) in [
            (400, "com.amazonaws.sqs#QueueDoesNotExist"),
            (400, "com.amazonaws.sqs#ReceiptHandleIsInvalid"),
            (403, "AccessDeniedException"),
            (404, ""),
        ] {
            assert!(!of(status, code), "{status} {code}");
        }
    }

    #[test]
    fn a_code_that_is_no_word_is_not_quoted() {
        let error = QueueError::of(StatusCode::BAD_REQUEST, "hunter2 <html>");
        assert_eq!(error, QueueError::Refused("status 400".into()));
        let error = QueueError::of(StatusCode::BAD_REQUEST, "com.amazonaws.sqs#AccessDenied");
        assert_eq!(error, QueueError::Refused("AccessDenied".into()));
    }
}
