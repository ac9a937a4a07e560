//! sendCustomMessage: a reply of customer service to a user who wrote to it.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/kf-mgnt/kf-message/sendCustomMessage.html

use std::fmt;

use reqwest::Method;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{AuthorizedWeChat, WeChatError, client::Api, errcode};
use crate::ids::{AppId, OpenId};

const API: Api = Api {
    name: "sendCustomMessage",
    method: Method::POST,
    path: "/cgi-bin/message/custom/send",
    // Each call delivers a message.
    idempotent: false,
    refusal: errcode::custom_message,
};

/// A reply of customer service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum CustomMessage {
    /// A text.
    Text {
        /// At most 2,048 bytes.
        content: String,
    },
    /// A picture.
    Image {
        /// The picture, as WeChat's uploadTempMedia names it.
        media_id: String,
    },
    /// A link with a picture.
    Link {
        /// Its title.
        title: String,
        /// What it is.
        description: String,
        /// Where it leads.
        url: String,
        /// The address of its picture.
        thumb_url: String,
    },
    /// A card that opens a page of the mini-program.
    MiniProgramPage {
        /// Its title.
        title: String,
        /// The page, with its query.
        page_path: String,
        /// The card's picture, as WeChat's uploadTempMedia names it.
        thumb_media_id: String,
    },
}

impl CustomMessage {
    fn body(&self, to: &OpenId) -> Value {
        let (kind, content) = match self {
            Self::Text { content } => ("text", json!({"content": content})),
            Self::Image { media_id } => ("image", json!({"media_id": media_id})),
            Self::Link {
                title,
                description,
                url,
                thumb_url,
            } => (
                "link",
                json!({"title": title, "description": description, "url": url, "thumb_url": thumb_url}),
            ),
            Self::MiniProgramPage {
                title,
                page_path,
                thumb_media_id,
            } => (
                "miniprogrampage",
                json!({"title": title, "pagepath": page_path, "thumb_media_id": thumb_media_id}),
            ),
        };
        let mut body = json!({"touser": to, "msgtype": kind});
        body[kind] = content;
        body
    }
}

/// Shows only its kind.
impl fmt::Debug for CustomMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(…)",
            Self::Image { .. } => "Image(…)",
            Self::Link { .. } => "Link(…)",
            Self::MiniProgramPage { .. } => "MiniProgramPage(…)",
        })
    }
}

impl AuthorizedWeChat {
    /// Sends a reply. It may have arrived when the error [is ambiguous](WeChatError::is_ambiguous).
    ///
    /// # Errors
    /// [`WeChatError::ReplyWindowClosed`] and [`WeChatError::TooManyReplies`] when WeChat allows none
    /// until the user writes again, [`WeChatError::MessageInvalid`] when this reply can never be sent;
    /// the others when the call fails.
    pub async fn send_custom_message(
        &self,
        app_id: &AppId,
        to: &OpenId,
        message: &CustomMessage,
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

    fn sent(ours: &Value) -> Value {
        let message: CustomMessage = serde_json::from_value(ours.clone()).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), *ours);
        message.body(&"o1".parse().unwrap())
    }

    #[test]
    fn the_bodies_are_the_documented_ones() {
        for (ours, wechats) in [
            (
                json!({"kind": "text", "content": "你好"}),
                json!({"touser": "o1", "msgtype": "text", "text": {"content": "你好"}}),
            ),
            (
                json!({"kind": "image", "mediaId": "m1"}),
                json!({"touser": "o1", "msgtype": "image", "image": {"media_id": "m1"}}),
            ),
            (
                json!({
                    "kind": "link", "title": "t", "description": "d",
                    "url": "https://a.cn", "thumbUrl": "https://a.cn/p.png",
                }),
                json!({"touser": "o1", "msgtype": "link", "link": {
                    "title": "t", "description": "d", "url": "https://a.cn", "thumb_url": "https://a.cn/p.png",
                }}),
            ),
            (
                json!({
                    "kind": "miniProgramPage", "title": "t", "pagePath": "pages/a", "thumbMediaId": "m1",
                }),
                json!({"touser": "o1", "msgtype": "miniprogrampage", "miniprogrampage": {
                    "title": "t", "pagepath": "pages/a", "thumb_media_id": "m1",
                }}),
            ),
        ] {
            assert_eq!(sent(&ours), wechats);
        }
    }

    #[test]
    fn unknown_kinds_and_fields_are_rejected() {
        for bad in [
            json!({"kind": "voice", "mediaId": "m1"}),
            json!({"kind": "text"}),
            json!({"kind": "text", "content": "a", "mediaId": "m1"}),
        ] {
            assert!(
                serde_json::from_value::<CustomMessage>(bad.clone()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn debug_does_not_show_the_content() {
        let message = CustomMessage::Text {
            content: "hunter2".to_owned(),
        };
        assert_eq!(format!("{message:?}"), "Text(…)");
    }
}
