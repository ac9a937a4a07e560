//! sendMessage: a subscribe message, to a user who agreed to one of its template.
//!
//! Source:
//! developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-message-management/subscribe-message/sendMessage.html

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{AuthorizedWeChat, WeChatError, client::Api, errcode};
use crate::ids::{AppId, OpenId};

const API: Api = Api {
    name: "sendMessage",
    method: Method::POST,
    path: "/cgi-bin/message/subscribe/send",
    // Each call delivers a message and uses up a grant.
    idempotent: false,
    refusal: errcode::subscribe_message,
};

/// A message of a template.
#[derive(Clone, Copy)]
pub struct SubscribeMessage<'a> {
    /// The template, as WeChat's console names it.
    pub template_id: &'a str,
    /// The page that a tap opens, with its query; none opens nothing.
    pub page: Option<&'a str>,
    /// The template's fields, such as `thing1`.
    pub data: &'a BTreeMap<String, String>,
    /// The version of the mini-program that a tap opens.
    pub state: MiniProgramState,
    /// The language of the template's own words.
    pub language: MessageLanguage,
}

/// The version of a mini-program that a message opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MiniProgramState {
    /// The developers' version.
    Developer,
    /// The trial version.
    Trial,
    /// The published version.
    #[default]
    Formal,
}

/// The language of a message's template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum MessageLanguage {
    /// Chinese, simplified.
    #[default]
    #[serde(rename = "zh_CN")]
    SimplifiedChinese,
    /// English.
    #[serde(rename = "en_US")]
    English,
    /// Chinese, traditional, of Hong Kong.
    #[serde(rename = "zh_HK")]
    HongKongChinese,
    /// Chinese, traditional, of Taiwan.
    #[serde(rename = "zh_TW")]
    TaiwanChinese,
}

impl SubscribeMessage<'_> {
    fn body(&self, to: &OpenId) -> Value {
        let fields = self.data.iter();
        let data: BTreeMap<_, _> = fields
            .map(|(name, value)| (name, json!({"value": value})))
            .collect();
        let mut body = json!({
            "touser": to, "template_id": self.template_id, "data": data,
            "miniprogram_state": self.state, "lang": self.language,
        });
        if let Some(page) = self.page {
            body["page"] = page.into();
        }
        body
    }
}

impl AuthorizedWeChat {
    /// Sends a message, which uses up one of the user's grants. It may have arrived when the error
    /// [is ambiguous](WeChatError::is_ambiguous).
    ///
    /// # Errors
    /// [`WeChatError::NotSubscribed`] when the user has given no grant or taken it back,
    /// [`WeChatError::MessageInvalid`] when this message can never be sent; the others when the call
    /// fails.
    pub async fn send_subscribe_message(
        &self,
        app_id: &AppId,
        to: &OpenId,
        message: &SubscribeMessage<'_>,
    ) -> Result<(), WeChatError> {
        let body = message.body(to);
        self.call_once::<IgnoredAny>((app_id, to), &API, || self.wechat.request_with(&API, &body))
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_documented_one() {
        let data = BTreeMap::from([
            ("thing1".to_owned(), "牛奶".to_owned()),
            ("number2".to_owned(), "3".to_owned()),
        ]);
        let message = SubscribeMessage {
            template_id: "template",
            page: Some("pages/order?id=7"),
            data: &data,
            state: MiniProgramState::Developer,
            language: MessageLanguage::English,
        };
        let to: OpenId = "o1".parse().unwrap();
        let expected = json!({
            "touser": "o1", "template_id": "template", "page": "pages/order?id=7",
            "data": {"thing1": {"value": "牛奶"}, "number2": {"value": "3"}},
            "miniprogram_state": "developer", "lang": "en_US",
        });
        assert_eq!(message.body(&to), expected);
        let plain = SubscribeMessage {
            page: None,
            state: MiniProgramState::default(),
            language: MessageLanguage::default(),
            ..message
        };
        let body = plain.body(&to);
        assert_eq!(body.get("page"), None);
        assert_eq!(
            (&body["miniprogram_state"], &body["lang"]),
            (&json!("formal"), &json!("zh_CN"))
        );
    }
}
