//! Requests that whatever received them found to be malformed, before a handler sees them.

use axum::response::{IntoResponse, Response};
use thiserror::Error;

use crate::api::{ApiError, Reason};

/// What is wrong with a request that could not be taken as it came: an event of Lambda, or bytes on a
/// connection. Such a request is answered with the reason, and its cause is logged, as for every
/// other request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed request: {cause}")]
pub struct Malformed {
    /// The reason of the answer.
    pub reason: Reason,
    /// What is wrong, without anything that the client sent.
    pub cause: &'static str,
}

impl Malformed {
    /// A request that is not valid.
    #[must_use]
    pub const fn invalid(cause: &'static str) -> Self {
        Self {
            reason: Reason::InvalidRequest,
            cause,
        }
    }
}

impl IntoResponse for Malformed {
    fn into_response(self) -> Response {
        ApiError::new(self.reason).because(&self).into_response()
    }
}
