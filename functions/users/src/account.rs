//! `GET /api/v1/users/{id}`

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::IntoResponse,
};
use http::{HeaderName, header::ETAG};
use serde::Serialize;
use shared::{
    accounts::AccountSagas,
    api::{ApiError, Success, entity_tag},
    auth::Sessions,
    edge::Administrator,
    ids::AppId,
    users::{ManagedUsers, Status, User},
};

use crate::{sagas::Unfinished, user_id};

/// One user, with what surrounds them.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UserDetail")
)]
pub struct Detail {
    #[serde(flatten)]
    user: User,
    /// The mini-programs that know the user.
    identities: Vec<KnownIn>,
    /// How many living sessions there are.
    sessions: usize,
    /// What bars the account: its deletion, or a merge.
    sagas: Vec<Unfinished>,
}

/// A mini-program that knows the user. Without the openid: nobody needs it who has the user's id.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct KnownIn {
    app_id: AppId,
}

/// The version as an entity tag (RFC 9110 §8.8.3).
pub fn etag(user: &User) -> [(HeaderName, String); 1] {
    [(ETAG, entity_tag(user.version))]
}

pub async fn read(
    _caller: Administrator,
    State(managed_users): State<ManagedUsers>,
    State(sessions): State<Sessions>,
    State(sagas): State<AccountSagas>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let id = user_id(id)?;
    let (account, sessions) = tokio::join!(managed_users.get(id), sessions.list(id));
    let (account, sessions) = (account?, sessions?);
    let saga = match account.user.status {
        Status::Barred => sagas.of(id).await?,
        Status::Active | Status::Disabled => None,
    };
    let known_in = |app_id| KnownIn { app_id };
    let tag = etag(&account.user);
    let detail = Detail {
        user: account.user,
        identities: account.app_ids.into_iter().map(known_in).collect(),
        sessions: sessions.len(),
        sagas: saga.into_iter().map(Into::into).collect(),
    };
    Ok((tag, Success(detail)))
}
