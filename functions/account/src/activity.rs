//! `GET /api/v1/user/activity`: what happened to the caller's account.

use axum::extract::State;
use shared::{
    api::{ActivityList, ActivityQuery, ApiError, Cursors, Query, Success, Viewer},
    audit::AuditTrail,
    edge::AuthenticatedUser,
};

pub async fn list(
    caller: AuthenticatedUser,
    State(trail): State<AuditTrail>,
    State(cursors): State<Cursors>,
    Query(query): Query<ActivityQuery>,
) -> Result<Success<ActivityList>, ApiError> {
    let user = caller.claims.sub;
    let page = ActivityList::read(&trail, &cursors, user, &query, Viewer::User).await?;
    Ok(Success(page))
}
