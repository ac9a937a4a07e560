//! `GET /api/v1/users/{id}/activity`: what happened to an account.

use axum::extract::{Path, State, rejection::PathRejection};
use shared::{
    api::{ActivityList, ActivityQuery, ApiError, Cursors, Query, Success, Viewer},
    audit::AuditTrail,
    edge::Administrator,
    users::ManagedUsers,
};

use crate::user_id;

pub async fn list(
    caller: Administrator,
    State(managed_users): State<ManagedUsers>,
    State(trail): State<AuditTrail>,
    State(cursors): State<Cursors>,
    id: Result<Path<String>, PathRejection>,
    Query(query): Query<ActivityQuery>,
) -> Result<Success<ActivityList>, ApiError> {
    let id = user_id(id)?;
    // Of a user who does not exist there is no trail either, but a mistyped id should not look like one.
    managed_users.get(id).await?;
    let viewer = Viewer::Administrator(caller.user.id);
    let page = ActivityList::read(&trail, &cursors, id, &query, viewer).await?;
    Ok(Success(page))
}
