//! A user's own profile: `GET` and `PATCH /api/v1/user/info`.
//!
//! `PUT` does what `PATCH` does: `wx.request` has no `PATCH`.

mod change;
mod content_check;
#[cfg(feature = "openapi")]
mod openapi;

use std::sync::Arc;

use axum::{
    extract::{FromRef, State},
    routing::get,
};
use serde::Serialize;
use shared::{
    api::{ApiError, Json, Success},
    auth::Admission,
    config::{AvatarHosts, NicknameMin, RequiredConsent},
    edge::{AuthenticatedUser, Routes},
    instance::Instance,
    users::{Avatars, Cancelled, Profiles, RequiredConsents, User},
    values::Edit,
};

use change::{ProfileInput, Rules};
use content_check::ContentCheck;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone, FromRef)]
struct UserInfo {
    admission: Admission,
    profiles: Profiles,
    content_check: Option<ContentCheck>,
    rules: Rules,
    avatars: Arc<Avatars>,
    required: RequiredConsents,
}

/// The user object, with what the user has to agree to.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct UserInfoResponse {
    #[serde(flatten)]
    user: User,
    /// Left out where nothing is required of anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    consents_missing: Option<Vec<RequiredConsent>>,
}

impl UserInfoResponse {
    fn new(user: User, required: &RequiredConsents) -> Success<Self> {
        let consents_missing = required.missing_if_any_required(&user.consents);
        Success(Self {
            user,
            consents_missing,
        })
    }
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    instance.sealed_bodies();
    let state = UserInfo {
        admission: instance.admission(),
        profiles: instance.profiles(),
        content_check: ContentCheck::new(instance),
        rules: Rules {
            nickname_min: NicknameMin::read(instance.env()),
            avatar_hosts: AvatarHosts::read(instance.env()).into(),
        },
        avatars: Arc::new(instance.avatars()),
        required: instance.required_consents(),
    };
    Routes::new()
        .route("/api/v1/user/info", get(read).patch(change).put(change))
        .with_state(state)
}

async fn read(
    caller: AuthenticatedUser,
    State(required): State<RequiredConsents>,
) -> Success<UserInfoResponse> {
    UserInfoResponse::new(caller.user, &required)
}

async fn change(
    caller: AuthenticatedUser,
    State(profiles): State<Profiles>,
    State(content_check): State<Option<ContentCheck>>,
    State(rules): State<Rules>,
    State(avatars): State<Arc<Avatars>>,
    State(required): State<RequiredConsents>,
    Json(input): Json<ProfileInput>,
) -> Result<Success<UserInfoResponse>, ApiError> {
    let shown = caller.user.avatar_url.as_deref();
    let names_avatar = input.names_avatar();
    let change = input.check(&rules, shown, |url| avatars.is_ours(url))?;
    if let (Some(check), Edit::Set(nickname)) = (content_check, &change.nickname) {
        check.nickname(&caller.claims, nickname).await?;
    }
    let user = profiles.change(caller.claims.sub, &change).await?;
    if names_avatar {
        // An address that is sent back may be one whose first request failed here.
        let cancelled = if change.avatar_url == Edit::Keep {
            Cancelled::Nothing
        } else {
            Cancelled::All
        };
        avatars.sweep(user.id, cancelled).await?;
    }
    Ok(UserInfoResponse::new(user, &required))
}
