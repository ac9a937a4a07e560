//! The extractor for routes of administrators.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::Authenticated;
use crate::{
    api::ApiError,
    auth::{Admission, Claims},
    users::{Administrators, User},
};

/// A caller who is an administrator: authenticated as for every other route, and then checked in the
/// user's row as it is now. The role in the access token and the cached profile decide nothing.
pub struct Administrator {
    /// The user and the session.
    pub claims: Claims,
    /// The user.
    pub user: User,
}

impl<S> FromRequestParts<S> for Administrator
where
    S: Send + Sync,
    Admission: FromRef<S>,
    Administrators: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Authenticated(claims) = Authenticated::from_request_parts(parts, state).await?;
        let user = Administrators::from_ref(state).check(claims.sub).await?;
        Ok(Self { claims, user })
    }
}
