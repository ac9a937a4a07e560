//! Why a call to DynamoDB failed.

use std::fmt::Display;

use aws_sdk_dynamodb::error::{BuildError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use super::UPSTREAM;
use crate::telemetry::{self, metrics};

/// Error codes of a row that another writer is changing.
const CONFLICTS: [&str; 3] = [
    "TransactionConflictException",
    "TransactionInProgressException",
    // Another region of a global table wrote the row at the same time.
    "ReplicatedWriteConflictException",
];
/// Error codes of temporary failures, whatever their HTTP status: the SDK's own list of throttling
/// and transient errors (`aws_runtime::retries::classifiers`), a service that fails, and what a
/// request that was held up between signing and sending gets.
const TRANSIENT: [&str; 26] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "RequestTimeout",
    "RequestTimeoutException",
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "InternalFailureException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    // Credentials are replaced when they expire; those of this process are not, but its successor
    // has new ones.
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
];
/// Error codes of a signature, which is wrong for good unless [`is_out_of_time`].
const SIGNATURE: [&str; 3] = [
    "InvalidSignatureException",
    "InvalidSignature",
    "SignatureDoesNotMatch",
];

/// Why a call to DynamoDB failed. A condition that does not hold is not an error: see
/// [`WriteOutcome`](super::WriteOutcome) and [`TransactionOutcome`](super::TransactionOutcome).
#[derive(Debug, Error)]
pub enum DynamoError {
    /// Unreachable, throttled, or failing: can be retried later.
    #[error("DynamoDB is not available: {0}")]
    Unavailable(String),
    /// Another writer is changing the row or has just changed it: read the row again and retry
    /// ([`Dynamo::retry_conflicts`](super::Dynamo::retry_conflicts)).
    #[error("DynamoDB: other requests keep changing the row")]
    Conflict,
    /// DynamoDB rejects the request, or a row can't be parsed: a bug, or the wrong table. A retry
    /// does not help.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
}

impl DynamoError {
    /// A row that does not have the form in which rows are written.
    pub(crate) fn unreadable(error: impl Display) -> Self {
        Self::Refused(format!("unreadable row: {error}"))
    }

    /// A value that could not be made ready for its row.
    pub(crate) fn unwritable(error: impl Display) -> Self {
        Self::Refused(format!("unwritable row: {error}"))
    }
}

/// A request without one of its required parts.
impl From<BuildError> for DynamoError {
    fn from(error: BuildError) -> Self {
        Self::Refused(telemetry::describe(&error))
    }
}

impl<E> From<SdkError<E>> for DynamoError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let text = telemetry::describe(&error);
        match &error {
            SdkError::ServiceError(context) => {
                let code = context.err().code().unwrap_or_default();
                if CONFLICTS.contains(&code) {
                    return Self::Conflict;
                }
                count(code);
                if TRANSIENT.contains(&code)
                    || is_out_of_time(context.err().meta())
                    || context.raw().status().is_server_error()
                {
                    Self::Unavailable(code.to_owned())
                } else {
                    Self::Refused(text)
                }
            }
            SdkError::ConstructionFailure(_) => Self::Refused(text),
            SdkError::TimeoutError(_) => {
                count("timeout");
                Self::Unavailable(text)
            }
            _ => {
                count("connection");
                Self::Unavailable(text)
            }
        }
    }
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

/// Counts a failed call in the metrics.
pub(super) fn count(errcode: &str) {
    metrics::upstream_error(UPSTREAM, errcode.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> ErrorMetadata {
        ErrorMetadata::builder().code(code).message(message).build()
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
}
