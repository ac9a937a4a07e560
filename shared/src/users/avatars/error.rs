//! Why something can't be done with an uploaded avatar.

use thiserror::Error;

use crate::{dynamo::DynamoError, objects::ObjectError};

/// Why something can't be done with an uploaded avatar.
#[derive(Debug, Error)]
pub enum AvatarError {
    /// `AVATAR_BUCKET` is not set.
    #[error("AVATAR_BUCKET is not set: there is no store for avatars")]
    NotConfigured,
    /// The user has no such upload, or no longer.
    #[error("the user has no such upload")]
    NotFound,
    /// Nothing was uploaded with the form yet.
    #[error("nothing was uploaded with the form yet")]
    Missing,
    /// What was uploaded is not what the form was for.
    #[error("the upload is not usable: {0}")]
    Invalid(&'static str),
    /// WeChat could not read it.
    #[error("WeChat could not read the picture")]
    Unreadable,
    /// WeChat advises against showing it.
    #[error("WeChat flags the picture as risky")]
    Risky,
    /// There is no such user any longer, or the account is closed for its end.
    #[error("the account is gone")]
    UserGone,
    /// The account is being merged into another one, which may take the picture over.
    #[error("the account is being merged into another one")]
    Merging,
    /// The object store can't be used.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The table can't be used.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl AvatarError {
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Dynamo(DynamoError::Conflict))
    }
}
