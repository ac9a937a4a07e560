//! The body of `PATCH /api/v1/user/info`: a JSON merge patch (RFC 7396) of the fields that a user
//! may set.

use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Input, RawProfile, Reason, Rule},
    config::NicknameMin,
    users::ProfileChange,
    values::Edit,
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
    /// A valid change of at least one field.
    ///
    /// # Errors
    /// All rules that the change breaks.
    pub fn check(self, nickname_min: NicknameMin) -> Result<ProfileChange, ApiError> {
        let mut checks = Checks::default();
        let raw = RawProfile {
            nickname: self.0.nickname,
            avatar_url: self.0.avatar_url,
            gender: self.0.gender,
        };
        let change = raw.check(nickname_min, &mut checks);
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

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse};
    use shared::values::Nickname;

    use super::*;

    fn parse(body: &str) -> Result<ProfileChange, ApiError> {
        ProfileInput(serde_json::from_str(body).unwrap()).check(NicknameMin(2))
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
