//! The body of `PATCH /api/v1/user/info`: a JSON merge patch (RFC 7396) of the fields that a user
//! may set.

use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Input, Reason, Rule},
    users::{Gender, ProfileChange},
    values::{AvatarUrl, Edit, Nickname},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawChange {
    #[serde(default)]
    nickname: Edit<String>,
    #[serde(default)]
    avatar_url: Edit<String>,
    #[serde(default)]
    gender: Edit<u8>,
}

/// A change whose fields have the right types. Its values are checked by the handler, because one
/// rule is a setting.
pub struct ProfileInput(RawChange);

impl Input for ProfileInput {
    type Raw = RawChange;

    fn parse(raw: RawChange, _: &mut Checks) -> Option<Self> {
        Some(Self(raw))
    }
}

impl ProfileInput {
    /// A valid change of at least one field; nicknames have at least `nickname_min` characters.
    ///
    /// # Errors
    /// All rules that the change breaks.
    pub fn check(self, nickname_min: u32) -> Result<ProfileChange, ApiError> {
        let mut checks = Checks::default();
        let change = check_fields(self.0, nickname_min, &mut checks);
        let named = (change != ProfileChange::default()).then_some(change);
        if checks.is_ok()
            && let Some(change) = checks.field("", Rule::NoChange, named)
        {
            return Ok(change);
        }
        checks.finish().map_err(ApiError::invalid)?;
        Err(Reason::InvalidRequest.into())
    }
}

fn check_fields(raw: RawChange, nickname_min: u32, checks: &mut Checks) -> ProfileChange {
    let gender = |code| {
        [Gender::Unknown, Gender::Male, Gender::Female]
            .into_iter()
            .find(|gender| *gender as u8 == code)
    };
    let min = usize::try_from(nickname_min).unwrap_or(usize::MAX);
    ProfileChange {
        nickname: checked(
            raw.nickname.map(|text| Nickname::parse(&text, min)),
            |name| checks.field_with_min("nickname", Rule::Nickname, nickname_min, name),
        ),
        avatar_url: checked(raw.avatar_url.map(|text| AvatarUrl::parse(&text)), |url| {
            checks.field("avatarUrl", Rule::HttpsUrl, url)
        }),
        gender: checked(raw.gender.map(gender), |gender| {
            checks.field("gender", Rule::Gender, gender)
        }),
    }
}

/// The edit with a parsed value; `check` notes one that is not valid.
fn checked<T>(edit: Edit<Option<T>>, check: impl FnOnce(Option<T>) -> Option<T>) -> Edit<T> {
    match edit {
        Edit::Keep => Edit::Keep,
        Edit::Clear => Edit::Clear,
        Edit::Set(parsed) => check(parsed).map_or(Edit::Keep, Edit::Set),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse};

    use super::*;

    fn parse(body: &str) -> Result<ProfileChange, ApiError> {
        ProfileInput(serde_json::from_str(body).unwrap()).check(2)
    }

    async fn violations(body: &str) -> usize {
        let response = parse(body).expect_err(body).into_response();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["data"]["fields"].as_array().unwrap().len()
    }

    #[test]
    fn a_missing_field_is_kept_and_null_clears_it() {
        let change = parse(r#"{"nickname":"小明","gender":null}"#).unwrap();
        assert_eq!(
            change.nickname,
            Edit::Set(Nickname::parse("小明", 2).unwrap())
        );
        assert_eq!(
            (change.avatar_url, change.gender),
            (Edit::Keep, Edit::Clear)
        );
    }

    #[tokio::test]
    async fn all_violations_are_reported_at_once() {
        let bad = r#"{"nickname":"x","avatarUrl":"http://a.cn","gender":3}"#;
        assert_eq!(violations(bad).await, 3);
        assert_eq!(violations("{}").await, 1);
    }
}
