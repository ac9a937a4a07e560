//! A session as a row.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use crate::users::user_pk;
use crate::{
    dynamo::{self, DynamoError, Item},
    ids::{AppId, SessionId, UserId},
};

pub(super) const SK_PREFIX: &str = "SESSION#";

pub(super) fn session_sk(id: SessionId) -> String {
    format!("{SK_PREFIX}{id}")
}

/// One login of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// UUIDv7.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// In which mini-program.
    pub app_id: AppId,
    /// How often it was refreshed; the refresh token with this number is the current one.
    pub counter: u32,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was refreshed last, at first the same as `created_at`.
    pub rotated_at: Timestamp,
    /// When it was ended, if it was.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// The client as it named itself.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// When it expires, seconds since the epoch; DynamoDB's TTL attribute.
    pub ttl: i64,
}

impl Session {
    pub(super) fn to_item(&self) -> Result<Item, DynamoError> {
        dynamo::to_item(&user_pk(self.user), &session_sk(self.id), self)
    }

    pub(super) fn from_item(item: Item) -> Result<Self, DynamoError> {
        dynamo::from_item(item)
    }
}
