//! mediaCheckAsync, version 2: whether a picture may be shown to others. The verdict is pushed later
//! (`wxa_media_check`).
//!
//! Source:
//! developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/sec-center/sec-check/mediaCheckAsync.html

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{AuthorizedWeChat, Scene, WeChatError, client::Api, errcode};
use crate::ids::{AppId, OpenId};

/// Asking twice gives two verdicts, of which one is nobody's.
const API: Api = Api {
    name: "mediaCheckAsync",
    method: Method::POST,
    path: "/wxa/media_check_async",
    idempotent: true,
    refusal: errcode::content_check,
};

/// WeChat's number for pictures; audio is 1.
const IMAGE: u8 = 2;

#[derive(Deserialize)]
struct MediaCheckResponse {
    trace_id: String,
}

impl AuthorizedWeChat {
    /// Asks WeChat to check the picture at `url`, which it reads soon, for this user, who must have used
    /// the mini-program within the last two hours. Returns the id that the verdict has.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn check_picture(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        scene: Scene,
        url: &str,
    ) -> Result<String, WeChatError> {
        let body = json!({
            "version": 2, "scene": scene as u8, "openid": open_id,
            "media_url": url, "media_type": IMAGE,
        });
        let response: MediaCheckResponse = self
            .call((app_id, open_id), &API, || {
                self.wechat.request_with(&API, &body)
            })
            .await?;
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let trace_id = response.trace_id;
        if trace_id.is_empty() || trace_id.len() > 128 || !trace_id.bytes().all(is_id) {
            return Err(WeChatError::Unreadable("a trace_id of another form".into()));
        }
        Ok(trace_id)
    }
}
