//! `POST /api/v1/user/refresh`

use std::sync::Arc;

use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Input, Json, Reason, Rule, Success},
    auth::{Admission, RotateError, Sessions, TokenPair, Tokens},
    edge::ClientAddress,
    request,
    users::Activity,
};

/// The most bytes of a refresh token.
const MAX_LENGTH: usize = 256;

/// A refresh token.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "RefreshBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawRefresh {
    /// The newest that the client has.
    #[cfg_attr(feature = "openapi", schemars(with = "String", length(min = 1, max = MAX_LENGTH)))]
    refresh_token: SecretString,
}

/// A refresh token of valid length.
pub struct RefreshInput(SecretString);

impl Input for RefreshInput {
    type Raw = RawRefresh;

    fn parse(raw: RawRefresh, checks: &mut Checks) -> Option<Self> {
        let fits = (1..=MAX_LENGTH).contains(&raw.refresh_token.expose_secret().len());
        checks.field(
            "refreshToken",
            Rule::RefreshToken,
            fits.then_some(Self(raw.refresh_token)),
        )
    }
}

pub async fn refresh(
    State(admission): State<Admission>,
    State(tokens): State<Arc<Tokens>>,
    State(sessions): State<Sessions>,
    State(activity): State<Activity>,
    ClientAddress(address): ClientAddress,
    input: Result<Json<RefreshInput>, ApiError>,
) -> Result<Success<TokenPair>, ApiError> {
    let Json(RefreshInput(token)) = match input {
        Ok(input) => input,
        Err(malformed) => {
            admission.charge_guest(address).await?;
            return Err(malformed);
        }
    };
    // The user before the rotation: if reading the user failed after it, the client would keep a
    // rotated token, and its next use would count as theft.
    let (token, user) = admission
        .admit_refresh(token.expose_secret(), address)
        .await?;
    let rotation = sessions.rotate(&token, tokens.audiences()).await;
    let session = rotation.inspect_err(audit)?;
    // Only now: who sends a token of an ended session must not make an abandoned account look used.
    activity.record(&user).await;
    request::note(|notes| notes.app_id = Some(session.app_id.clone()));
    Ok(Success(
        tokens.issue(&session, user.role).ok_or(Reason::Internal)?,
    ))
}

/// Logs the reuse of a refresh token for operators: it may have been stolen.
fn audit(error: &RotateError) {
    if let RotateError::Reused { user, session } = error {
        tracing::warn!(
            audit = "refresh_reused", user_id = %user, session_id = %session, request_id = request::id(),
            "a refresh token was used again, its session is revoked"
        );
    }
}
