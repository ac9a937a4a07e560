//! Extractors for routes that need an authenticated caller.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::ClientIp;
use crate::{
    api::{ApiError, bearer_token},
    auth::{Admission, AdmissionError, Caller, Claims},
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

/// The caller of what ends their own account, and with it the session: such a request has to be
/// answered also when it is sent again, because its answer was lost or it stopped on its way.
pub enum AccountHolder {
    /// A user who is signed in and not disabled.
    SignedIn(AuthenticatedUser),
    /// The bearer of a token whose session has ended, maybe by this very request. Good only for what
    /// they have decided before.
    Former(Claims),
}

impl<S> FromRequestParts<S> for AccountHolder
where
    S: Send + Sync,
    Admission: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let admission = Admission::from_ref(state);
        match admission.admit_with_user(caller(parts)).await {
            Ok((claims, user)) => {
                note_caller(&claims);
                Ok(Self::SignedIn(AuthenticatedUser { claims, user }))
            }
            Err(AdmissionError::SessionEnded) => {
                let claims = admission.claims_of_ended(caller(parts)).await?;
                note_caller(&claims);
                Ok(Self::Former(claims))
            }
            Err(error) => Err(error.into()),
        }
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
