//! Users, and the WeChat identities that lead to them.

mod activity;
mod administrators;
mod avatars;
mod barring;
mod consents;
mod erasure;
mod identities;
mod last_logins;
mod listing;
mod logins;
mod managed_users;
mod merge_pair;
mod merging;
mod moving_in;
mod phone_numbers;
mod profiles;
mod recipient;
pub mod rows;
mod session_keys;
mod traces;
mod user_rows;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_repr::{Deserialize_repr, Serialize_repr};

use crate::ids::UserId;

pub use activity::Activity;
pub use administrators::{AdministratorError, Administrators};
pub use avatars::{
    AvatarError, AvatarStore, Avatars, Begun, Cancelled, Judged, Phase, Staged, Upload, UploadId,
    Verdict,
};
pub use barring::{AccountState, Bar, Barred, Barring, SessionsOf};
pub use consents::{AgreedVersions, Consent, ConsentRequest, Consents, RequiredConsents};
pub use erasure::{Erasure, PersonalField};
pub use identities::{Identities, Identity, IdentityError};
pub use listing::{Listing, Position, UserFilter, UserPage};
pub use logins::{ExpectedUser, FirstLogin, Logins, Resolved, WeChatLogin};
pub use managed_users::{ChangeError, ManagedUser, ManagedUserChange, ManagedUsers};
pub use merge_pair::MergePair;
pub use merging::Merging;
pub use moving_in::{Claimed, MoveInError, MovingIn, NewIdentity, NewUser, Taken};
pub use phone_numbers::{BindError, Holder, PhoneNumbers, TakeError};
pub use profiles::{ProfileChange, Profiles, UserError, profile_cache_key};
pub use recipient::Recipient;
pub use session_keys::{IdentityKeys, SessionKeyStore};
pub use traces::{Traces, encrypt_keys_key};
pub use user_rows::{UserRow, UserRows};

/// A user, as stored, as cached and as its owner sees it.
///
/// `Debug` leaves out the phone number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "openapi",
    schemars(description = "A user, as its owner and administrators see it.")
)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// UUIDv7.
    pub id: UserId,
    /// At most 32 characters.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "Option<crate::values::Nickname>")
    )]
    pub nickname: Option<String>,
    /// An https URL.
    #[serde(default)]
    pub avatar_url: Option<String>,
    /// As WeChat codes it.
    #[serde(default)]
    pub gender: Option<Gender>,
    /// Unmasked, for its owner; to be masked before it is shown to others.
    #[serde(default)]
    pub phone: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// Whether the user may do anything.
    pub status: Status,
    /// RFC 3339, UTC.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    pub created_at: Timestamp,
    /// RFC 3339, UTC.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    pub updated_at: Timestamp,
    /// 1 at first; each change adds 1.
    pub version: u64,
    /// The versions of documents that the user agreed to and has not withdrawn; left out where there
    /// are none. A change of them is not a new `version` of the profile.
    #[serde(default, skip_serializing_if = "AgreedVersions::is_empty")]
    pub consents: AgreedVersions,
    /// The last day, in UTC, that a refresh of a session recorded; nobody but operators sees it.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schemars(skip))]
    pub last_active_on: Option<Date>,
}

impl User {
    /// A new user with an empty profile.
    #[must_use]
    pub fn new(id: UserId, now: Timestamp) -> Self {
        Self {
            id,
            nickname: None,
            avatar_url: None,
            gender: None,
            phone: None,
            role: Role::User,
            status: Status::Active,
            created_at: now,
            updated_at: now,
            version: 1,
            consents: AgreedVersions::default(),
            last_active_on: None,
        }
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// As WeChat's user info codes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr, Deserialize_repr)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema_repr))]
#[repr(u8)]
pub enum Gender {
    /// Unknown.
    Unknown = 0,
    /// Male.
    Male = 1,
    /// Female.
    Female = 2,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Use the mini-program.
    #[default]
    User,
    /// Manage users.
    Admin,
}

impl Role {
    /// As it is stored, and as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::User, Self::Admin];
        all.into_iter().find(|role| role.as_str() == text)
    }
}

/// Whether a user may do anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "UserStatus"))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Yes.
    #[default]
    Active,
    /// No: login, refresh and the profile are answered `403 user_disabled`; sessions can still be
    /// ended.
    Disabled,
    /// No, and no token is accepted: the account is being deleted.
    Barred,
}

impl Status {
    /// As it is stored, and as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Barred => "barred",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Active, Self::Disabled, Self::Barred];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_object_is_as_documented() {
        let id = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let mut user = User::new(id, "2026-11-23T01:02:03.004Z".parse().unwrap());
        user.gender = Some(Gender::Female);
        assert_eq!(
            serde_json::to_string(&user).unwrap(),
            r#"{"id":"0193c0de-0000-7000-8000-00000000abcd","nickname":null,"avatarUrl":null,"gender":2,"phone":null,"role":"user","status":"active","createdAt":"2026-11-23T01:02:03.004Z","updatedAt":"2026-11-23T01:02:03.004Z","version":1}"#
        );
    }

    #[test]
    fn the_words_of_roles_and_statuses_are_those_that_are_stored() {
        for role in [Role::User, Role::Admin] {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        for status in [Status::Active, Status::Disabled, Status::Barred] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }

    #[test]
    fn consents_are_part_of_the_user_object_once_there_are_some() {
        let id = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let user = User {
            consents: AgreedVersions::from([("privacy".to_owned(), 3)]),
            ..User::new(id, Timestamp::UNIX_EPOCH)
        };
        let text = serde_json::to_string(&user).unwrap();
        assert!(
            text.ends_with(r#""version":1,"consents":{"privacy":3}}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<User>(&text).unwrap(), user);
    }

    #[test]
    fn debug_shows_no_phone_number() {
        let id = "0193c0de-0000-7000-8000-00000000abcd".parse().unwrap();
        let mut user = User::new(id, Timestamp::UNIX_EPOCH);
        user.phone = Some("13800138000".into());
        assert!(!format!("{user:?}").contains("13800138000"));
    }
}
