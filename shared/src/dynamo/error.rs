//! Why a call to DynamoDB failed.

use std::fmt::Display;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use thiserror::Error;

use super::UPSTREAM;
use crate::telemetry::{self, metrics};

/// Error codes of a row that another transaction is writing.
const CONFLICTS: [&str; 2] = [
    "TransactionConflictException",
    "TransactionInProgressException",
];
/// Error codes of temporary failures, whatever their HTTP status.
const TRANSIENT: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "LimitExceededException",
];

/// Why a call to DynamoDB failed. A condition that does not hold is not an error: see
/// [`WriteOutcome`](super::WriteOutcome) and [`TransactionOutcome`](super::TransactionOutcome).
#[derive(Debug, Error)]
pub enum DynamoError {
    /// Unreachable, throttled, or failing: can be retried later.
    #[error("DynamoDB is not available: {0}")]
    Unavailable(String),
    /// Another writer is changing the row or has just changed it: read the row again and retry.
    #[error("DynamoDB: the row is part of a running transaction")]
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
                if TRANSIENT.contains(&code) || context.raw().status().is_server_error() {
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

/// Counts a failed call in the metrics.
pub(super) fn count(errcode: &str) {
    metrics::upstream_error(UPSTREAM, errcode.to_owned());
}
