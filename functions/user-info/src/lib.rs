//! A user's own profile: `GET` and `PATCH /api/v1/user/info`.
//!
//! `PUT` does what `PATCH` does: `wx.request` has no `PATCH`.

mod change;
mod content_check;
mod settings;

use axum::{
    extract::{FromRef, State},
    routing::get,
};
use shared::{
    api::{ApiError, Json, Success},
    auth::Admission,
    config::NicknameMin,
    edge::{AuthenticatedUser, Routes},
    instance::Instance,
    users::{Profiles, User},
    values::Edit,
};

use change::ProfileInput;
use content_check::ContentCheck;
pub use settings::DOCUMENTED;

#[derive(Clone, FromRef)]
struct UserInfo {
    admission: Admission,
    profiles: Profiles,
    content_check: Option<ContentCheck>,
    nickname_min: NicknameMin,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.sealed_bodies();
    let state = UserInfo {
        admission: instance.admission(),
        profiles: instance.profiles(),
        content_check: ContentCheck::new(instance),
        nickname_min: NicknameMin::read(instance.env()),
    };
    Routes::new()
        .route("/api/v1/user/info", get(read).patch(change).put(change))
        .with_state(state)
}

async fn read(caller: AuthenticatedUser) -> Success<User> {
    Success(caller.user)
}

async fn change(
    caller: AuthenticatedUser,
    State(profiles): State<Profiles>,
    State(content_check): State<Option<ContentCheck>>,
    State(nickname_min): State<NicknameMin>,
    Json(input): Json<ProfileInput>,
) -> Result<Success<User>, ApiError> {
    let change = input.check(nickname_min)?;
    if let (Some(check), Edit::Set(nickname)) = (content_check, &change.nickname) {
        check.nickname(&caller.claims, nickname).await?;
    }
    Ok(Success(profiles.change(caller.claims.sub, &change).await?))
}
