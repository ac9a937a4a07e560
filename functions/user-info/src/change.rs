//! The body of `PATCH /api/v1/user/info`: a JSON merge patch (RFC 7396) of the fields that a user
//! may set.

use std::sync::Arc;

use serde::Deserialize;
use shared::{
    api::{ApiError, Checks, Input, RawProfile, Reason, Rule},
    config::{AvatarHosts, NicknameMin},
    users::ProfileChange,
    values::Edit,
};

/// The rules that are settings. Cheap to clone.
#[derive(Clone)]
pub struct Rules {
    /// The least length of a nickname.
    pub nickname_min: NicknameMin,
    /// Whose addresses may be set as an avatar's.
    pub avatar_hosts: Arc<AvatarHosts>,
}

/// A JSON merge patch of a profile.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "ProfileChange")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawChange {
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Edit<shared::values::Nickname>"))]
    nickname: Edit<String>,
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schemars(with = "Edit<shared::values::AvatarUrl>")
    )]
    avatar_url: Edit<String>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "Edit<shared::users::Gender>"))]
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
    /// Whether it names the avatar, also to leave it as it is.
    pub fn names_avatar(&self) -> bool {
        self.0.avatar_url != Edit::Keep
    }

    /// A valid change of at least one field, by a user whose avatar is `shown` now: that address can be
    /// sent back whatever it is, and changes nothing. Other addresses that are `ours` can't be set: an
    /// uploaded picture is its user's only.
    ///
    /// # Errors
    /// All rules that the change breaks.
    pub fn check(
        self,
        rules: &Rules,
        shown: Option<&str>,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<ProfileChange, ApiError> {
        let mut checks = Checks::default();
        let RawChange {
            nickname,
            avatar_url,
            gender,
        } = self.0;
        let sent_back = matches!(&avatar_url, Edit::Set(url) if Some(&**url) == shown);
        let avatar_url = match avatar_url {
            Edit::Set(_) if sent_back => Edit::Keep,
            Edit::Set(url) if is_temporary(&url) => {
                checks.field::<()>("avatarUrl", Rule::AvatarTemporary, None);
                Edit::Keep
            }
            edit => edit,
        };
        let raw = RawProfile {
            nickname,
            avatar_url,
            gender,
        };
        let change = raw.check(rules.nickname_min, &mut checks);
        if let Edit::Set(url) = &change.avatar_url {
            let host = url.host().filter(|host| rules.avatar_hosts.allow(host));
            let allowed = host.filter(|_| !is_ours(url.as_str()));
            checks.field("avatarUrl", Rule::AvatarHost, allowed);
        }
        let named = (sent_back || change != ProfileChange::default()).then_some(change);
        if checks.is_ok()
            && let Some(change) = checks.field("", Rule::NoChange, named)
        {
            return Ok(change);
        }
        checks.finish().map_err(ApiError::invalid)?;
        Err(Reason::InvalidRequest.into())
    }
}

/// Whether this is a file of the phone, as `chooseAvatar` gives one: `wxfile://…`, `http://tmp/…` and
/// their like.
fn is_temporary(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let place = rest.split('/').next().unwrap_or_default();
    scheme == "wxfile" || (scheme.starts_with("http") && matches!(place, "tmp" | "usr" | "store"))
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse};
    use shared::{
        config::Env,
        values::{AvatarUrl, Nickname},
    };

    use super::*;

    fn parse(body: &str) -> Result<ProfileChange, ApiError> {
        let rules = Rules {
            nickname_min: NicknameMin(2),
            avatar_hosts: AvatarHosts::read(&Env::new([("AVATAR_HOSTS", "a.cn,ours.cn")])).into(),
        };
        let input = ProfileInput(serde_json::from_str(body).unwrap());
        let is_ours = |url: &str| url.starts_with("https://ours.cn/avatars/");
        input.check(&rules, Some("http://127.0.0.1/avatars/x.png"), is_ours)
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

    async fn rule(body: &str) -> String {
        let response = parse(body).expect_err(body).into_response();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        body["data"]["fields"][0]["rule"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[tokio::test]
    async fn an_avatar_is_at_an_allowed_host_and_not_one_of_ours() {
        let change = parse(r#"{"avatarUrl":"https://A.cn:443/x.png"}"#).unwrap();
        let url = AvatarUrl::parse("https://a.cn/x.png").unwrap();
        assert_eq!(change.avatar_url, Edit::Set(url));
        for (url, broken) in [
            ("https://b.cn/x.png", "avatar_host"),
            ("https://a.cn:8443/x.png", "avatar_host"),
            ("https://a.cn.b.cn/x.png", "avatar_host"),
            ("https://ours.cn/avatars/y.png", "avatar_host"),
            ("http://a.cn/x.png", "https_url"),
            ("http://tmp/abc.jpeg", "avatar_temporary"),
            ("https://tmp/abc.jpeg", "avatar_temporary"),
            ("wxfile://tmp_abc.png", "avatar_temporary"),
            ("http://usr/abc.png", "avatar_temporary"),
        ] {
            assert_eq!(
                rule(&format!(r#"{{"avatarUrl":"{url}"}}"#)).await,
                broken,
                "{url}"
            );
        }
    }

    #[test]
    fn the_address_that_was_read_can_be_sent_back() {
        let change = parse(r#"{"avatarUrl":"http://127.0.0.1/avatars/x.png"}"#).unwrap();
        assert_eq!(change, ProfileChange::default());
    }

    #[tokio::test]
    async fn all_violations_are_reported_at_once() {
        let bad = r#"{"nickname":"x","avatarUrl":"http://a.cn","gender":3}"#;
        assert_eq!(violations(bad).await, 3);
        assert_eq!(violations("{}").await, 1);
    }
}
