//! Why a call got no output, and whether it is worth another attempt.

use std::error::Error;

use aws_sdk_dynamodb::error::{ErrorMetadata, ProvideErrorMetadata};
use http::StatusCode;

/// Error codes of calls that are sent again: the SDK's own lists of throttling and transient errors
/// (`aws_runtime::retries::classifiers`).
const RETRIED: [&str; 16] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "EC2ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "RequestTimeout",
    "RequestTimeoutException",
];
/// HTTP statuses of calls that are sent again, whatever their error code (`HttpStatusCodeClassifier`
/// of the SDK).
const RETRIED_STATUS: [u16; 4] = [500, 502, 503, 504];
/// Error codes of a signature, which is wrong for good unless [`is_out_of_time`].
const SIGNATURE: [&str; 3] = [
    "InvalidSignatureException",
    "InvalidSignature",
    "SignatureDoesNotMatch",
];

/// Why a call got no output. Nothing in it but `error` contains anything of request or answer.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// DynamoDB's error, which has a code.
    Service { error: E, status: StatusCode },
    /// An answer that is too large, or not one of DynamoDB's.
    Unreadable {
        status: StatusCode,
        why: &'static str,
    },
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke.
    Connection(String),
    /// A request that can't be made or signed, or an endpoint that can't be resolved.
    Construction(String),
}

impl<E> Failure<E> {
    /// No request could be made, because of `error`.
    pub(super) fn construction(error: &(impl ToString + ?Sized)) -> Self {
        Self::Construction(error.to_string())
    }

    /// Whether the same request may succeed if it is sent again; `metadata` reads DynamoDB's error.
    pub(super) fn is_transient(&self, metadata: impl FnOnce(&E) -> Option<&ErrorMetadata>) -> bool {
        match self {
            Self::Service { error, status } => {
                RETRIED_STATUS.contains(&status.as_u16())
                    || metadata(error).is_some_and(|metadata| {
                        metadata.code().is_some_and(is_retried) || is_out_of_time(metadata)
                    })
            }
            Self::Unreadable { status, .. } => RETRIED_STATUS.contains(&status.as_u16()),
            Self::Timeout | Self::Connection(_) => true,
            Self::Construction(_) => false,
        }
    }
}

/// DynamoDB's error of an operation, as [`Failure`] has it.
pub(super) trait ServiceError: ProvideErrorMetadata + Error + Send + Sync + 'static {}

impl<E: ProvideErrorMetadata + Error + Send + Sync + 'static> ServiceError for E {}

/// Whether the SDK retries errors with this code.
pub(super) fn is_retried(code: &str) -> bool {
    RETRIED.contains(&code)
}

/// Whether the signature was right at another time: an instance was frozen between signing and
/// sending, or its clock is off. Another signature helps. DynamoDB tells this from a wrong secret by
/// its text only: "Signature expired: … is now earlier than …", "Signature not yet current: … is
/// still later than …".
pub(super) fn is_out_of_time(error: &ErrorMetadata) -> bool {
    let text = error.message().unwrap_or_default();
    match error.code() {
        Some("RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture") => true,
        Some(code) if SIGNATURE.contains(&code) => {
            text.contains("Signature expired") || text.contains("Signature not yet current")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).message(message).build()
    }

    fn is_retried_at(status: u16, code: &str) -> bool {
        let failure = Failure::Service {
            error: error(code, ""),
            status: StatusCode::from_u16(status).unwrap(),
        };
        failure.is_transient(|error| Some(error))
    }

    #[test]
    fn a_signature_of_another_time_is_told_from_a_wrong_one() {
        for (code, message) in [
            (
                "InvalidSignatureException",
                "Signature expired: 20261123T080000Z is now earlier than 20261123T080500Z (20261123T081000Z - 5 min.)",
            ),
            (
                "InvalidSignatureException",
                "Signature not yet current: 20261123T081000Z is still later than 20261123T080500Z",
            ),
            ("SignatureDoesNotMatch", "Signature expired: x"),
            ("RequestExpired", ""),
            ("RequestTimeTooSkewed", ""),
        ] {
            assert!(is_out_of_time(&error(code, message)), "{code}: {message}");
        }
        for (code, message) in [
            (
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            ),
            ("UnrecognizedClientException", "Signature expired"),
            ("ValidationException", "Signature expired"),
        ] {
            assert!(!is_out_of_time(&error(code, message)), "{code}: {message}");
        }
        assert!(!is_out_of_time(&ErrorMetadata::builder().build()));
    }

    #[test]
    fn throttling_and_failing_servers_are_retried_and_refusals_are_not() {
        for (status, code) in [
            (400, "ProvisionedThroughputExceededException"),
            (400, "ThrottlingException"),
            (400, "TransactionInProgressException"),
            (400, "RequestTimeout"),
            (500, "InternalServerError"),
            (502, "x"),
            (503, "ServiceUnavailable"),
            (504, "x"),
        ] {
            assert!(is_retried_at(status, code), "{status} {code}");
        }
        for (status, code) in [
            (400, "ConditionalCheckFailedException"),
            (400, "TransactionConflictException"),
            (400, "ValidationException"),
            (400, "ExpiredTokenException"),
            (400, "InvalidSignatureException"),
            (403, "AccessDeniedException"),
            (501, "x"),
        ] {
            assert!(!is_retried_at(status, code), "{status} {code}");
        }
    }

    #[test]
    fn what_was_not_answered_is_retried_and_what_can_not_be_sent_is_not() {
        let is_transient = |failure: Failure<()>| failure.is_transient(|()| None);
        let unreadable = |status| Failure::Unreadable { status, why: "" };
        assert!(is_transient(Failure::Timeout));
        assert!(is_transient(Failure::Connection(String::new())));
        assert!(is_transient(unreadable(StatusCode::BAD_GATEWAY)));
        assert!(!is_transient(unreadable(StatusCode::OK)));
        assert!(!is_transient(Failure::Construction(String::new())));
    }
}
