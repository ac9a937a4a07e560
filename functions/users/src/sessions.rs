//! `DELETE /api/v1/users/{id}/sessions`

use axum::extract::{Path, State, rejection::PathRejection};
use shared::{
    api::{ApiError, Empty, Success},
    auth::{Revoker, Sessions},
    edge::Administrator,
    users::ManagedUsers,
};

use crate::{audit, user_id};

/// Ends all sessions of a user. Of the administrator's own sessions this one ends last: after a failure
/// it is still there for the next try.
pub async fn end_all(
    caller: Administrator,
    State(managed_users): State<ManagedUsers>,
    State(sessions): State<Sessions>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Success<Empty>, ApiError> {
    let id = user_id(id)?;
    // A user who does not exist has no sessions either, but a mistyped id should not look like one.
    managed_users.get(id).await?;
    let own = (id == caller.user.id).then_some(caller.claims.sid);
    let by = match own {
        Some(_) => Revoker::USER,
        None => Revoker::administrator(caller.user.id),
    };
    sessions.revoke_all(id, own, by).await?;
    audit::sessions_ended(caller.user.id, id);
    Ok(Success(Empty {}))
}
