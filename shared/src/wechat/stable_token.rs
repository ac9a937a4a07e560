//! `getStableAccessToken`, never forced: WeChat returns the same token to every caller until five
//! minutes before it expires, so two servers can't invalidate each other's token.
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

/// WeChat asks to reserve at least 512 characters; this leaves room for growth.
const MAX_TOKEN: usize = 2048;

const API: Api = Api {
    name: "getStableAccessToken",
    method: Method::POST,
    path: "/cgi-bin/stable_token",
    idempotent: true,
    refusal: errcode::access_token,
};

/// A token as WeChat granted it.
pub(super) struct Granted {
    pub(super) token: SecretString,
    /// Its remaining lifetime, at most 2 hours.
    pub(super) lifetime: Duration,
}

#[derive(Deserialize)]
struct StableTokenResponse {
    access_token: SecretString,
    expires_in: u32,
}

impl WeChat {
    pub(super) async fn stable_token(&self, app_id: &AppId) -> Result<Granted, WeChatError> {
        let body = json!({"grant_type": "client_credential", "appid": app_id, "secret": self.secret(app_id)});
        let response: StableTokenResponse = self.call(&API, self.request_with(&API, &body)).await?;
        let length = response.access_token.expose_secret().len();
        if length == 0 || length > MAX_TOKEN {
            return Err(WeChatError::Unreadable(
                "an access_token of an impossible length".into(),
            ));
        }
        Ok(Granted {
            token: response.access_token,
            lifetime: Duration::from_secs(response.expires_in.into()),
        })
    }
}
