//! The body of a login.

use secrecy::SecretString;
use serde::Deserialize;
use shared::{
    api::{Checks, Input, Optional, Rule},
    values::OneTimeCode,
};

/// A code, and what else a login brings along.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "LoginBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawLogin {
    /// A code of `wx.login`.
    #[cfg_attr(feature = "openapi", schemars(with = "OneTimeCode"))]
    code: SecretString,
    /// One of `WECHAT_APPIDS`; the first of them is the default.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "shared::ids::AppId"))]
    app_id: Optional<String>,
    /// Whether an account that is being deleted is called back.
    #[serde(default)]
    cancel_deletion: Optional<bool>,
    /// A code of the phone number button, whose number is bound.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(with = "OneTimeCode"))]
    phone_code: Optional<SecretString>,
}

/// A well-formed code, and the mini-program that issued it, if the client names one.
pub struct LoginInput {
    pub code: OneTimeCode,
    pub app_id: Option<String>,
    /// Whether an account that is being deleted is called back.
    pub cancel_deletion: bool,
    /// A code of the phone number button, whose number is bound.
    pub phone_code: Option<OneTimeCode>,
}

impl Input for LoginInput {
    type Raw = RawLogin;

    fn parse(raw: RawLogin, checks: &mut Checks) -> Option<Self> {
        let (code, app_id) = (OneTimeCode::parse(raw.code), raw.app_id.0);
        let cancel_deletion = raw.cancel_deletion.0.unwrap_or_default();
        let code = checks.field("code", Rule::Code, code);
        let phone_code = match raw.phone_code.0.map(OneTimeCode::parse) {
            Some(code) => Some(checks.field("phoneCode", Rule::PhoneCode, code)?),
            None => None,
        };
        code.map(|code| Self {
            code,
            app_id,
            cancel_deletion,
            phone_code,
        })
    }
}
