//! Why a control call is refused.

use thiserror::Error;

/// A control call that can't be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// An argument is invalid; the text names it and says what is accepted.
    #[error("{0}")]
    Invalid(String),
    /// The simulator has no such app, or no app at all.
    #[error("appId: no such app")]
    UnknownApp,
    /// The user has no `session_key` yet: exchange a code first.
    #[error(
        "the user has not logged in to this app yet: exchange a code at /sns/jscode2session first"
    )]
    NotLoggedIn,
}

impl ControlError {
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}
