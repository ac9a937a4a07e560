//! code2Session: exchanges a code of `wx.login` for the user's identity.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;

use super::{WeChat, WeChatError, client::Api, errcode, session_key::check_form};
use crate::{
    ids::{AppId, OpenId, UnionId},
    values::OneTimeCode,
};

const API: Api = Api {
    name: "code2Session",
    method: Method::GET,
    path: "/sns/jscode2session",
    // A code works once.
    idempotent: false,
    refusal: errcode::code_to_session,
};

/// The identity of a user and the session key.
#[derive(Debug)]
pub struct CodeSession {
    /// The user in this mini-program.
    pub open_id: OpenId,
    /// The user across mini-programs.
    pub union_id: Option<UnionId>,
    /// 16 bytes as base64.
    pub session_key: SecretString,
}

#[derive(Deserialize)]
struct CodeSessionResponse {
    openid: OpenId,
    session_key: SecretString,
    unionid: Option<String>,
}

impl WeChat {
    /// Exchanges a code of `wx.login`. A code works once, so this is never retried after it was
    /// sent.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn code_to_session(
        &self,
        app_id: &AppId,
        code: &OneTimeCode,
    ) -> Result<CodeSession, WeChatError> {
        let query = [
            ("appid", app_id.as_str()),
            ("secret", self.secret(app_id)),
            ("js_code", code.expose()),
            ("grant_type", "authorization_code"),
        ];
        let response: CodeSessionResponse =
            self.call(&API, self.request(&API).query(&query)).await?;
        let session_key = check_form(response.session_key)?;
        // The union id is optional, so a malformed one is ignored.
        let union_id = response.unionid.and_then(|id| UnionId::try_from(id).ok());
        Ok(CodeSession {
            open_id: response.openid,
            union_id,
            session_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::client::parse;

    #[test]
    fn only_an_object_is_a_response() {
        assert!(
            parse::<CodeSessionResponse>(br#"["o1","tiihtNczf5v6AKRyjwEUhQ==",null]"#).is_err()
        );
        assert!(
            parse::<CodeSessionResponse>(
                br#" {"openid":"o1","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#
            )
            .is_ok()
        );
    }

    #[test]
    fn an_error_does_not_quote_the_response() {
        let error = parse::<CodeSessionResponse>(br#"{"openid":"o1","session_key":["hunter2"]}"#)
            .err()
            .unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(matches!(error, WeChatError::Unreadable(_)));
    }
}
