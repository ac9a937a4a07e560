//! `POST /api/v1/user/logout`, `GET /api/v1/user/sessions`, `DELETE /api/v1/user/sessions/{id}`

use axum::extract::{Path, State, rejection::PathRejection};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Empty, Input, Json, Reason, Success},
    auth::{Revoker, SessionError, Sessions},
    edge::Authenticated,
    ids::{AppId, SessionId},
};

/// The body of a logout; without one, only the current session ends.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "LogoutBody")
)]
#[serde(deny_unknown_fields)]
pub struct RawLogout {
    /// Whether all sessions of the user end, not only this one.
    #[serde(default)]
    all: bool,
}

/// Which sessions to end.
pub struct LogoutInput {
    all: bool,
}

impl Input for LogoutInput {
    type Raw = RawLogout;
    const MAY_BE_EMPTY: bool = true;

    fn parse(raw: RawLogout, _: &mut Checks) -> Option<Self> {
        Some(Self { all: raw.all })
    }
}

/// The active sessions of a user.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SessionList {
    /// The newest first.
    sessions: Vec<SessionInfo>,
}

/// A session.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct SessionInfo {
    id: SessionId,
    app_id: AppId,
    /// That of the login.
    user_agent: Option<String>,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    refreshed_at: Timestamp,
    /// Whether the request came with its token.
    current: bool,
}

pub async fn logout(
    Authenticated(caller): Authenticated,
    State(sessions): State<Sessions>,
    Json(input): Json<LogoutInput>,
) -> Result<Success<Empty>, ApiError> {
    if input.all {
        let own = Some(caller.sid);
        sessions.revoke_all(caller.sub, own, Revoker::USER).await?;
    } else {
        sessions
            .revoke(caller.sub, caller.sid, Revoker::USER)
            .await?;
    }
    Ok(Success(Empty {}))
}

pub async fn list(
    Authenticated(caller): Authenticated,
    State(sessions): State<Sessions>,
) -> Result<Success<SessionList>, ApiError> {
    let info = |session: shared::auth::Session| SessionInfo {
        current: session.id == caller.sid,
        id: session.id,
        app_id: session.app_id,
        user_agent: session.user_agent,
        created_at: session.created_at,
        refreshed_at: session.refreshed_at,
    };
    let sessions = sessions
        .list(caller.sub)
        .await?
        .into_iter()
        .map(info)
        .collect();
    Ok(Success(SessionList { sessions }))
}

pub async fn end(
    Authenticated(caller): Authenticated,
    State(sessions): State<Sessions>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Success<Empty>, ApiError> {
    // A malformed id names no session.
    let id: SessionId = id
        .ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or(Reason::NotFound)?;
    match sessions.revoke(caller.sub, id, Revoker::USER).await {
        Ok(()) => Ok(Success(Empty {})),
        Err(SessionError::Ended) => Err(Reason::NotFound.into()),
        Err(SessionError::Dynamo(error)) => Err(error.into()),
    }
}
