//! The body of `PATCH /api/v1/user/info`: a JSON merge patch (RFC 7396) of the fields that a user
//! may set.

use serde::Deserialize;
use shared::{
    api::{Checks, Input, Rule},
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

/// A valid change of at least one field.
#[derive(Debug)]
pub struct ProfileInput(pub ProfileChange);

impl Input for ProfileInput {
    type Raw = RawChange;

    fn parse(raw: RawChange, checks: &mut Checks) -> Option<Self> {
        let gender = |code| {
            [Gender::Unknown, Gender::Male, Gender::Female]
                .into_iter()
                .find(|gender| *gender as u8 == code)
        };
        let change = ProfileChange {
            nickname: checked(
                checks,
                "nickname",
                Rule::Nickname,
                raw.nickname.map(|text| Nickname::parse(&text)),
            ),
            avatar_url: checked(
                checks,
                "avatarUrl",
                Rule::HttpsUrl,
                raw.avatar_url.map(|text| AvatarUrl::parse(&text)),
            ),
            gender: checked(checks, "gender", Rule::Gender, raw.gender.map(gender)),
        };
        if !checks.is_ok() {
            return None;
        }
        checks.field(
            "",
            Rule::NoChange,
            (change != ProfileChange::default()).then_some(Self(change)),
        )
    }
}

/// Adds a violation to `checks` for an invalid value.
fn checked<T>(checks: &mut Checks, field: &str, rule: Rule, edit: Edit<Option<T>>) -> Edit<T> {
    match edit {
        Edit::Keep => Edit::Keep,
        Edit::Clear => Edit::Clear,
        Edit::Set(parsed) => checks
            .field(field, rule, parsed)
            .map_or(Edit::Keep, Edit::Set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ProfileChange, usize> {
        let mut checks = Checks::default();
        let input = ProfileInput::parse(serde_json::from_str(body).unwrap(), &mut checks);
        checks.finish().map_err(|violations| violations.len())?;
        Ok(input.unwrap().0)
    }

    #[test]
    fn a_missing_field_is_kept_and_null_clears_it() {
        let change = parse(r#"{"nickname":"小明","gender":null}"#).unwrap();
        assert_eq!(change.nickname, Edit::Set(Nickname::parse("小明").unwrap()));
        assert_eq!(
            (change.avatar_url, change.gender),
            (Edit::Keep, Edit::Clear)
        );
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        assert_eq!(
            parse(r#"{"nickname":"x","avatarUrl":"http://a.cn","gender":3}"#),
            Err(3)
        );
        assert_eq!(parse("{}"), Err(1));
    }
}
