//! code2Session: the person behind a code of `wx.login`.
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

/// What code2Session answers.
#[derive(Debug)]
pub struct CodeSession {
    /// Who, in this mini-program.
    pub open_id: OpenId,
    /// Who, across mini-programs.
    pub union_id: Option<UnionId>,
    /// 16 bytes as base64.
    pub session_key: SecretString,
}

#[derive(Deserialize)]
struct Answer {
    openid: OpenId,
    session_key: SecretString,
    unionid: Option<String>,
}

impl WeChat {
    /// The person behind a code of `wx.login`. A code works once, so this is never sent twice.
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
        let answer: Answer = self.call(&API, self.request(&API).query(&query)).await?;
        let session_key = check_form(answer.session_key)?;
        // A malformed union id is ignored: it is optional.
        let union_id = answer.unionid.and_then(|id| UnionId::try_from(id).ok());
        Ok(CodeSession {
            open_id: answer.openid,
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
    fn only_an_object_is_an_answer() {
        assert!(parse::<Answer>(br#"["o1","tiihtNczf5v6AKRyjwEUhQ==",null]"#).is_err());
        assert!(
            parse::<Answer>(br#" {"openid":"o1","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#)
                .is_ok()
        );
    }

    #[test]
    fn an_error_about_an_answer_does_not_quote_it() {
        let error = parse::<Answer>(br#"{"openid":"o1","session_key":["hunter2"]}"#)
            .err()
            .unwrap();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(matches!(error, WeChatError::Unreadable(_)));
    }
}
