//! A user's own profile: `GET` and `PATCH /api/v1/user/info`.
//!
//! `PUT` does what `PATCH` does: `wx.request` has no `PATCH`.

mod change;

use axum::{
    Router,
    extract::{FromRef, State},
    routing::get,
};
use shared::{
    api::{ApiError, Json, Success},
    auth::Admission,
    content_check::ContentCheck,
    edge::SignedInUser,
    instance::Instance,
    users::{Edit, User, Users},
};

use change::ProfileInput;

#[derive(Clone, FromRef)]
struct UserInfo {
    admission: Admission,
    users: Users,
    content_check: Option<ContentCheck>,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Router {
    instance.sealed_bodies();
    let state = UserInfo {
        admission: instance.admission(),
        users: instance.users(),
        content_check: instance.content_check(),
    };
    Router::new()
        .route("/api/v1/user/info", get(read).patch(change).put(change))
        .with_state(state)
}

async fn read(caller: SignedInUser) -> Success<User> {
    Success(caller.user)
}

async fn change(
    caller: SignedInUser,
    State(users): State<Users>,
    State(content_check): State<Option<ContentCheck>>,
    Json(ProfileInput(change)): Json<ProfileInput>,
) -> Result<Success<User>, ApiError> {
    if let (Some(check), Edit::Set(nickname)) = (content_check, &change.nickname) {
        check.nickname(&caller.claims, nickname).await?;
    }
    Ok(Success(users.change(caller.claims.sub, &change).await?))
}
