//! What a function behind the authorizer is told of its caller.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::{auth::Claims, users::User};

/// The caller, as the context of an answer. Strings all of them, as REST APIs pass on anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The user's id.
    pub user_id: String,
    /// The AppID of the mini-program that the token was issued for.
    pub app_id: String,
    /// The role in the user's profile: `user` or `admin`.
    pub role: String,
    /// The session's id.
    pub session_id: String,
}

impl Caller {
    /// The bearer of these claims. The role is the profile's: that of the token stays until the next
    /// refresh.
    pub fn new(claims: &Claims, user: &User) -> Self {
        Self {
            user_id: claims.sub.to_string(),
            app_id: claims.aud.to_string(),
            role: user.role.as_str().to_owned(),
            session_id: claims.sid.to_string(),
        }
    }
}

/// An empty response with the caller as an extension.
impl IntoResponse for Caller {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}
