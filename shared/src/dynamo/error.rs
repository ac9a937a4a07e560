//! Why a call to DynamoDB failed.

use std::fmt::Display;

use aws_sdk_dynamodb::error::BuildError;
use http::StatusCode;
use thiserror::Error;

use super::{
    UPSTREAM,
    failure::{Failure, ServiceError, is_out_of_time, is_retried},
};
use crate::telemetry::{self, metrics};

/// Error codes of a row that another writer is changing.
const CONFLICTS: [&str; 2] = [
    "TransactionConflictException",
    // Another region of a global table wrote the row at the same time.
    "ReplicatedWriteConflictException",
];
/// Error codes of temporary failures, whatever their HTTP status, besides those that are retried at
/// once ([`is_retried`]): a service that fails, and what a request that was held up between signing
/// and sending gets.
const TRANSIENT: [&str; 12] = [
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
    #[must_use]
    pub fn unreadable(error: impl Display) -> Self {
        Self::Refused(format!("unreadable row: {error}"))
    }

    /// Whether it is one row that can't be read or written, and not the whole table.
    #[must_use]
    pub fn is_about_the_row(&self) -> bool {
        let Self::Refused(text) = self else {
            return false;
        };
        ["unreadable row", "unwritable row", "ValidationException"]
            .iter()
            .any(|about| text.contains(about))
    }

    /// Work that stopped because the time of its request is up
    /// ([`LongWork`](crate::request::deadline::LongWork)): the next request goes on with it.
    pub(crate) fn out_of_time() -> Self {
        Self::Unavailable("the time of the request is up".to_owned())
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

impl<E: ServiceError> From<Failure<Box<E>>> for DynamoError {
    fn from(failure: Failure<Box<E>>) -> Self {
        match failure {
            Failure::Service { error, status } => Self::of_service(&*error, status),
            Failure::Unreadable { status, why } => {
                count("unreadable");
                let text = format!("unreadable answer with status {}: {why}", status.as_u16());
                if status.is_server_error() {
                    Self::Unavailable(text)
                } else {
                    Self::Refused(text)
                }
            }
            Failure::Timeout => {
                count("timeout");
                Self::Unavailable("no answer in time".to_owned())
            }
            Failure::Connection(text) => {
                count("connection");
                Self::Unavailable(text)
            }
            Failure::Construction(text) => Self::Refused(text),
        }
    }
}

impl DynamoError {
    fn of_service(error: &impl ServiceError, status: StatusCode) -> Self {
        let code = error.code().unwrap_or_default();
        if CONFLICTS.contains(&code) {
            return Self::Conflict;
        }
        count(code);
        if is_retried(code)
            || TRANSIENT.contains(&code)
            || is_out_of_time(error.meta())
            || status.is_server_error()
        {
            Self::Unavailable(code.to_owned())
        } else {
            Self::Refused(telemetry::describe(error))
        }
    }
}

/// Counts a failed call in the metrics.
pub(super) fn count(errcode: &str) {
    metrics::upstream_error(UPSTREAM, errcode.to_owned());
}
