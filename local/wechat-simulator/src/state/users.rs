//! Users and their attributes. Users need not be created: any name is a user with the defaults.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control_error::ControlError;
use crate::protocol::ids;
use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::time::SECOND;

/// A change to a user's attributes. `None` leaves an attribute as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserChange {
    /// The user's unionid. Default: none.
    pub union_id: Option<UnionId>,
    /// Makes code2Session answer 40226.
    pub high_risk: Option<bool>,
    /// Makes code2Session return the same `session_key` until it expires.
    pub keep_session_key: Option<bool>,
    /// The phone number, 5 to 15 digits. Default: derived from the name.
    pub phone: Option<String>,
    /// The number's country calling code, 1 to 999. Default: 86.
    pub country_code: Option<u16>,
    /// Makes getPhoneNumber and phone data contain `countryCode` as a number, as WeChat does at times.
    pub numeric_country_code: Option<bool>,
}

/// A user's unionid; in JSON `true`, `false` or a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "UnionIdJson", into = "UnionIdJson")]
pub enum UnionId {
    /// A unionid derived from the user's name.
    Derived,
    /// No unionid, as for an app that is not bound to an open platform account.
    Absent,
    /// A unionid of 1 to 64 visible ASCII characters.
    Custom(String),
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum UnionIdJson {
    Flag(bool),
    Text(String),
}

impl From<UnionIdJson> for UnionId {
    fn from(json: UnionIdJson) -> Self {
        match json {
            UnionIdJson::Flag(true) => Self::Derived,
            UnionIdJson::Flag(false) => Self::Absent,
            UnionIdJson::Text(text) => Self::Custom(text),
        }
    }
}

impl From<UnionId> for UnionIdJson {
    fn from(union_id: UnionId) -> Self {
        match union_id {
            UnionId::Derived => Self::Flag(true),
            UnionId::Absent => Self::Flag(false),
            UnionId::Custom(text) => Self::Text(text),
        }
    }
}

/// A user in an app: the owner of a code or a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppUser {
    pub(crate) app_id: String,
    pub(crate) user: String,
}

impl AppUser {
    pub(crate) fn open_id(&self) -> String {
        ids::open_id(&self.app_id, &self.user)
    }

    /// The watermark of decrypted data: the app, and the time in seconds.
    pub(crate) fn watermark(&self, now: u64) -> Value {
        json!({"timestamp": now / SECOND, "appid": self.app_id})
    }
}

/// A user's attributes.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    pub(crate) union_id: Option<String>,
    pub(crate) high_risk: bool,
    pub(crate) keep_session_key: bool,
    pub(crate) phone: Option<String>,
    pub(crate) country_code: Option<u16>,
    pub(crate) numeric_country_code: bool,
}

impl User {
    fn apply(&mut self, name: &str, change: UserChange) {
        match change.union_id {
            Some(UnionId::Derived) => self.union_id = Some(ids::union_id(name)),
            Some(UnionId::Absent) => self.union_id = None,
            Some(UnionId::Custom(union_id)) => self.union_id = Some(union_id),
            None => {}
        }
        self.high_risk = change.high_risk.unwrap_or(self.high_risk);
        self.keep_session_key = change.keep_session_key.unwrap_or(self.keep_session_key);
        self.phone = change.phone.or_else(|| self.phone.take());
        self.country_code = change.country_code.or(self.country_code);
        self.numeric_country_code = change
            .numeric_country_code
            .unwrap_or(self.numeric_country_code);
    }
}

/// The users whose attributes differ from the defaults.
pub(crate) struct Users(BoundedMap<String, User>);

impl Users {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    pub(crate) fn find(&self, name: &str) -> User {
        self.0.peek(name).cloned().unwrap_or_default()
    }

    pub(crate) fn change(&mut self, name: &str, change: UserChange) -> Result<(), ControlError> {
        validate(&change)?;
        let mut user = self.find(name);
        user.apply(name, change);
        self.0.insert(name.to_owned(), user);
        Ok(())
    }
}

fn validate(change: &UserChange) -> Result<(), ControlError> {
    if let Some(UnionId::Custom(text)) = &change.union_id
        && !((1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()))
    {
        return Err(ControlError::invalid(
            "unionId: 1 to 64 visible ASCII characters",
        ));
    }
    if let Some(phone) = &change.phone
        && !((5..=15).contains(&phone.len()) && phone.chars().all(|c| c.is_ascii_digit()))
    {
        return Err(ControlError::invalid("phone: 5 to 15 digits"));
    }
    if change
        .country_code
        .is_some_and(|code| !(1..=999).contains(&code))
    {
        return Err(ControlError::invalid("countryCode: 1 to 999"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_the_other_attributes_and_users() {
        let mut users = Users::new();
        let risky = UserChange {
            high_risk: Some(true),
            ..UserChange::default()
        };
        users.change("alice", risky).unwrap();
        let union = UserChange {
            union_id: Some(UnionId::Derived),
            ..UserChange::default()
        };
        users.change("alice", union).unwrap();
        let alice = users.find("alice");
        assert!(alice.high_risk);
        assert_eq!(alice.union_id, Some(ids::union_id("alice")));
        assert!(!users.find("bob").high_risk);
    }

    #[test]
    fn a_union_id_is_a_boolean_or_a_text_in_json() {
        let parse = |json| serde_json::from_str::<UserChange>(json).unwrap().union_id;
        assert_eq!(parse(r#"{"unionId":true}"#), Some(UnionId::Derived));
        assert_eq!(parse(r#"{"unionId":false}"#), Some(UnionId::Absent));
        assert_eq!(
            parse(r#"{"unionId":"oabc"}"#),
            Some(UnionId::Custom("oabc".to_owned()))
        );
        assert_eq!(parse("{}"), None);
    }
}
