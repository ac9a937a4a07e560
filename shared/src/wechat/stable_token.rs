//! `getStableAccessToken`, never forced: WeChat gives the same token to everyone until five minutes
//! before its end, so two servers can't take it from each other.
//!
//! Source:
//! developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{WeChat, WeChatError, client::Api, errcode};
use crate::ids::AppId;

/// WeChat asks to keep room for at least 512 characters; this is room for what it may become.
const MAX_TOKEN: usize = 2048;

const API: Api = Api {
    name: "getStableAccessToken",
    method: Method::POST,
    path: "/cgi-bin/stable_token",
    idempotent: true,
    refusal: errcode::access_token,
};

/// A token as WeChat gave it.
pub(super) struct Granted {
    pub(super) token: SecretString,
    /// What it has left, at most 2 hours.
    pub(super) lifetime: Duration,
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    expires_in: u32,
}

impl WeChat {
    pub(super) async fn stable_token(&self, app_id: &AppId) -> Result<Granted, WeChatError> {
        let body = json!({"grant_type": "client_credential", "appid": app_id, "secret": self.secret(app_id)});
        let answer: Answer = self.call(&API, self.request_with(&API, &body)).await?;
        let length = answer.access_token.expose_secret().len();
        if length == 0 || length > MAX_TOKEN {
            return Err(WeChatError::Unreadable(
                "an access_token of an impossible length".into(),
            ));
        }
        Ok(Granted {
            token: answer.access_token,
            lifetime: Duration::from_secs(answer.expires_in.into()),
        })
    }
}
