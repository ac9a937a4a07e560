//! Why a call to the object store failed.

use http::StatusCode;
use thiserror::Error;

/// Why a call to the object store failed. Its texts have no URL: a signed one is a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// There is no such object.
    #[error("object store: no such object")]
    NotFound,
    /// The object is not the one that the call was made for.
    #[error("object store: the object was replaced")]
    Changed,
    /// It does not answer in time. A write may have been carried out.
    #[error("object store: no answer in time")]
    Timeout,
    /// Unreachable, throttled, or failing: can be retried later.
    #[error("object store: not available: {0}")]
    Unavailable(String),
    /// It refuses the request: bucket, region, credentials or permissions are wrong.
    #[error(
        "object store: refused with status {0}; check AVATAR_BUCKET and the function's permissions"
    )]
    Refused(u16),
    /// A request that can't be made.
    #[error("object store: {0}")]
    Construction(String),
}

impl ObjectError {
    /// The error of an answer with this status.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::PRECONDITION_FAILED => Self::Changed,
            // S3: another request is changing the same object.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                Self::Unavailable(format!("status {}", status.as_u16()))
            }
            status if status.is_server_error() => {
                Self::Unavailable(format!("status {}", status.as_u16()))
            }
            status => Self::Refused(status.as_u16()),
        }
    }

    /// Whether the same request may succeed if it is sent again at once.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable(_))
    }

    /// The label in metrics; none for an answer that is an outcome like another.
    pub(super) fn metric_label(&self) -> Option<&'static str> {
        match self {
            Self::NotFound | Self::Changed => None,
            Self::Timeout => Some("timeout"),
            Self::Unavailable(_) => Some("unavailable"),
            Self::Refused(_) => Some("refused"),
            Self::Construction(_) => Some("construction"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_an_error_of_its_own_kind() {
        let error = |status| ObjectError::of(StatusCode::from_u16(status).unwrap());
        assert_eq!(error(404), ObjectError::NotFound);
        assert_eq!(error(412), ObjectError::Changed);
        for status in [409, 429, 500, 502, 503, 504] {
            assert!(error(status).is_transient(), "{status}");
        }
        for status in [301, 400, 401, 403] {
            assert_eq!(error(status), ObjectError::Refused(status));
            assert!(!error(status).is_transient(), "{status}");
        }
    }
}
