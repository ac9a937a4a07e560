//! The body of a login.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use shared::api::{Checks, Input, Rule};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawLogin {
    code: SecretString,
    #[serde(default)]
    app_id: Option<String>,
}

/// A code that WeChat may know, and the mini-program it is from, if named.
pub struct LoginInput {
    pub code: SecretString,
    pub app_id: Option<String>,
}

impl Input for LoginInput {
    type Raw = RawLogin;

    fn parse(raw: RawLogin, checks: &mut Checks) -> Option<Self> {
        let text = raw.code.expose_secret();
        let fits =
            (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let app_id = raw.app_id;
        checks
            .field("code", Rule::Code, fits.then_some(raw.code))
            .map(|code| Self { code, app_id })
    }
}
