//! Why requests of the callback fail. For the log: clients see few reasons.

use shared::{
    api::{ApiError, Reason},
    ids::AppId,
};
use thiserror::Error;

use crate::push::FormatError;

/// Why a request is rejected as not from WeChat. For the log only.
#[derive(Debug, Error)]
pub enum PushRejection {
    #[error("MESSAGE_PUSH names no mini-program")]
    NotConfigured,
    #[error("the timestamp is missing or is not one in seconds")]
    NoTimestamp,
    #[error("the timestamp is too far from now ({0} s)")]
    Stale(u64),
    #[error(
        "signature or ciphertext is wrong for every mini-program of MESSAGE_PUSH (a key there requires the secure mode)"
    )]
    Unsigned,
    #[error("not encrypted, but a key in MESSAGE_PUSH requires the secure mode: {0}")]
    NotEncrypted(BodyForm),
    #[error(
        "signature or ciphertext is wrong: signed with the token, but the EncodingAESKey does not open it"
    )]
    WrongKey,
    #[error("encrypted for another mini-program than the token's")]
    AnotherMiniProgram,
    #[error("the signature was used before, with another message")]
    SignatureUsed,
}

/// What the body of a request is, for the log.
#[derive(Debug, Error)]
pub enum BodyForm {
    #[error("the body is a message without Encrypt")]
    Plain,
    #[error("the body is {0}")]
    Unreadable(FormatError),
}

impl From<PushRejection> for ApiError {
    /// The same reason for all, so that an attacker learns nothing about the cause.
    fn from(rejection: PushRejection) -> Self {
        Self::new(Reason::DecryptFailed).because(&rejection)
    }
}

/// Why a verified request is not handled, and must be sent again.
#[derive(Debug, Error)]
pub enum NotHandled {
    /// Its encryption can't be opened.
    #[error(
        "the message is encrypted, but the entry of {0} in MESSAGE_PUSH has no EncodingAESKey (the console's mode is not the plain one)"
    )]
    NoKey(AppId),
    /// Without shared state another instance could carry out a deletion with this signature.
    #[error(
        "shared state is down, so that the first use of a plain-mode signature can't be verified"
    )]
    UnverifiedFirstUse,
}

impl From<NotHandled> for ApiError {
    fn from(error: NotHandled) -> Self {
        let reason = match error {
            NotHandled::NoKey(_) => Reason::Internal,
            NotHandled::UnverifiedFirstUse => Reason::Unavailable,
        };
        Self::new(reason).because(&error)
    }
}
