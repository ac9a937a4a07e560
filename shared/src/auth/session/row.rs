//! A session as a row.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    dynamo::{self, DynamoError, Item},
    ids::{AppId, OpenId, SessionId, UserId},
    users::rows::{session_sk, user_pk},
};

pub(super) fn session_key(user: UserId, id: SessionId) -> Item {
    dynamo::key(&user_pk(user), &session_sk(id))
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", rename_all = "lowercase")]
pub enum EndedBy {
    /// Its user.
    User,
    /// A refresh token that had been used before.
    Reuse,
    /// Whatever ends or disables the account.
    Service,
    /// An administrator.
    Administrator,
    /// Somebody that only a later version knows.
    Unknown,
}

impl EndedBy {
    /// As it is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Reuse => "reuse",
            Self::Service => "service",
            Self::Administrator => "administrator",
            Self::Unknown => "unknown",
        }
    }
}

impl From<String> for EndedBy {
    fn from(text: String) -> Self {
        let known = [Self::User, Self::Reuse, Self::Service, Self::Administrator];
        let found = known.into_iter().find(|by| by.as_str() == text);
        found.unwrap_or(Self::Unknown)
    }
}

/// Who ends a session, and which administrator it is, if it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoker {
    pub(super) by: EndedBy,
    pub(super) administrator: Option<UserId>,
}

impl Revoker {
    /// Its user.
    pub const USER: Self = Self::other(EndedBy::User);
    /// The service, for a refresh token that had been used before.
    pub const REUSE: Self = Self::other(EndedBy::Reuse);
    /// Whatever ends or disables the account.
    pub const SERVICE: Self = Self::other(EndedBy::Service);

    const fn other(by: EndedBy) -> Self {
        Self {
            by,
            administrator: None,
        }
    }

    /// This administrator.
    #[must_use]
    pub const fn administrator(id: UserId) -> Self {
        Self {
            by: EndedBy::Administrator,
            administrator: Some(id),
        }
    }
}

/// One login of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// UUIDv7.
    pub id: SessionId,
    /// The user who logged in.
    pub user: UserId,
    /// The mini-program that they logged in to.
    pub app_id: AppId,
    /// As whom, in that mini-program: an account that another one was merged into can have several
    /// identities there. Sessions that earlier versions opened don't say.
    #[serde(default)]
    pub open_id: Option<OpenId>,
    /// How often it was refreshed; the refresh token with this number is the current one.
    pub counter: u32,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was refreshed last, at first the same as `created_at`.
    #[serde(rename = "rotatedAt")]
    pub refreshed_at: Timestamp,
    /// When it was ended, if it was.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// Who did that. Sessions that earlier versions ended don't say.
    #[serde(default)]
    pub ended_by: Option<EndedBy>,
    /// Which administrator did, if it was one.
    #[serde(default)]
    pub ended_by_id: Option<UserId>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_as_documented() {
        let row = Session {
            id: "0193c0de-0000-7000-8000-000000000002".parse().unwrap(),
            user: "0193c0de-0000-7000-8000-000000000001".parse().unwrap(),
            app_id: "wx1".parse().unwrap(),
            open_id: Some("o_1".parse().unwrap()),
            counter: 3,
            created_at: "2026-11-23T01:02:03Z".parse().unwrap(),
            refreshed_at: "2026-11-23T01:02:04Z".parse().unwrap(),
            revoked_at: None,
            ended_by: None,
            ended_by_id: None,
            user_agent: None,
            ttl: 7,
        };
        let item = row.to_item().unwrap();
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "appId",
                "counter",
                "createdAt",
                "id",
                "openId",
                "pk",
                "rotatedAt",
                "sk",
                "ttl",
                "user"
            ]
        );
        assert_eq!(Session::from_item(item).unwrap(), row);
    }

    #[test]
    fn a_session_that_a_later_version_ended_can_be_read() {
        for (word, wanted) in [
            ("user", EndedBy::User),
            ("administrator", EndedBy::Administrator),
            ("robot", EndedBy::Unknown),
        ] {
            let read: EndedBy = serde_json::from_value(word.into()).unwrap();
            assert_eq!(read, wanted);
        }
    }
}
