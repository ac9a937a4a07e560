//! Extractors for routes that need an authenticated caller.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::ClientIp;
use crate::{
    api::{ApiError, bearer_token},
    auth::{Admission, Caller, Claims},
    request,
    users::User,
};

/// The caller's claims. The session was active when the request was admitted.
pub struct Authenticated(pub Claims);

impl<S> FromRequestParts<S> for Authenticated
where
    S: Send + Sync,
    Admission: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let claims = Admission::from_ref(state).admit(caller(parts)).await?;
        note_caller(&claims);
        Ok(Self(claims))
    }
}

/// The caller's claims and profile, read with the session in one round trip. The user is not
/// disabled.
pub struct AuthenticatedUser {
    /// The user and the session.
    pub claims: Claims,
    /// The profile.
    pub user: User,
}

impl<S> FromRequestParts<S> for AuthenticatedUser
where
    S: Send + Sync,
    Admission: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (claims, user) = Admission::from_ref(state)
            .admit_with_user(caller(parts))
            .await?;
        note_caller(&claims);
        Ok(Self { claims, user })
    }
}

fn caller(parts: &Parts) -> Caller<'_> {
    Caller {
        token: bearer_token(&parts.headers),
        address: ClientIp::of(&parts.extensions),
    }
}

fn note_caller(claims: &Claims) {
    request::note(|notes| {
        notes.user_id = Some(claims.sub);
        notes.app_id = Some(claims.aud.clone());
    });
}
