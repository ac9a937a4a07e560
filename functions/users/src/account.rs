//! `GET /api/v1/users/{id}`

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::IntoResponse,
};
use http::{HeaderName, header::ETAG};
use serde::Serialize;
use shared::{
    api::{ApiError, Success, entity_tag},
    auth::Sessions,
    edge::Administrator,
    ids::AppId,
    users::{Accounts, User},
};

use crate::user_id;

/// One user, with what surrounds them.
#[derive(Serialize)]
pub struct Detail {
    #[serde(flatten)]
    user: User,
    identities: Vec<KnownIn>,
    /// How many living sessions there are.
    sessions: usize,
}

/// A mini-program that knows the user. Without the openid: nobody needs it who has the user's id.
#[derive(Serialize)]
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
    State(accounts): State<Accounts>,
    State(sessions): State<Sessions>,
    id: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let id = user_id(id)?;
    let (account, sessions) = tokio::join!(accounts.get(id), sessions.list(id));
    let (account, sessions) = (account?, sessions?);
    let known_in = |app_id| KnownIn { app_id };
    let tag = etag(&account.user);
    let detail = Detail {
        user: account.user,
        identities: account.app_ids.into_iter().map(known_in).collect(),
        sessions: sessions.len(),
    };
    Ok((tag, Success(detail)))
}
