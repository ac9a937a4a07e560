//! A user in a list.

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    ids::UserId,
    users::{Role, Status, User},
    values::Phone,
};

/// A user as lists show them: without what is only needed of one user, and with a masked number.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserSummary {
    id: UserId,
    nickname: Option<String>,
    avatar_url: Option<String>,
    /// `138****8000`.
    phone: Option<String>,
    role: Role,
    status: Status,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    created_at: Timestamp,
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    updated_at: Timestamp,
    version: u64,
}

/// A part of a list.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserList {
    /// The users.
    pub users: Vec<UserSummary>,
    /// The cursor of the next page; none at the end.
    pub cursor: Option<String>,
}

impl From<User> for UserSummary {
    fn from(user: User) -> Self {
        let mask = |number: String| Phone::from_stored(number.into()).masked();
        Self {
            id: user.id,
            nickname: user.nickname,
            avatar_url: user.avatar_url,
            phone: user.phone.map(mask),
            role: user.role,
            status: user.status,
            created_at: user.created_at,
            updated_at: user.updated_at,
            version: user.version,
        }
    }
}
