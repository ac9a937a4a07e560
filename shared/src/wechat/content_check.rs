//! msgSecCheck, version 2: whether a text may be shown to others.
//!
//! Source:
//! developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/sec-center/sec-check/msgSecCheck.html

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{AuthorizedWeChat, WeChatError, client::Api, errcode};
use crate::ids::{AppId, OpenId};

const API: Api = Api {
    name: "msgSecCheck",
    method: Method::POST,
    path: "/wxa/msg_sec_check",
    idempotent: true,
    refusal: errcode::content_check,
};

/// Where a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// In a profile.
    Profile = 1,
    /// In a comment.
    Comment = 2,
    /// In a forum.
    Forum = 3,
    /// Among friends.
    Social = 4,
}

/// WeChat's verdict on a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Advice {
    /// Show it.
    Pass,
    /// Have it reviewed by a person.
    Review,
    /// Don't show it.
    Risky,
}

#[derive(Deserialize)]
struct ContentCheckResponse {
    result: ContentCheckResult,
}

#[derive(Deserialize)]
struct ContentCheckResult {
    suggest: Advice,
}

impl AuthorizedWeChat {
    /// WeChat's verdict on `content` (at most 2,500 characters) of this user, who must have used
    /// the mini-program within the last two hours.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn check_text(
        &self,
        app_id: &AppId,
        open_id: &OpenId,
        scene: Scene,
        content: &str,
    ) -> Result<Advice, WeChatError> {
        let body =
            json!({"version": 2, "scene": scene as u8, "openid": open_id, "content": content});
        let response: ContentCheckResponse = self
            .call((app_id, open_id), &API, || {
                self.wechat.request_with(&API, &body)
            })
            .await?;
        Ok(response.result.suggest)
    }
}
