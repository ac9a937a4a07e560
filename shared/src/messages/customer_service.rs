//! Replies of customer service: which WeChat can take.

use url::Url;

use super::content::is_page;
use crate::{
    api::{Checks, Rule},
    wechat::CustomMessage,
};

/// The most bytes of a text.
const MAX_TEXT: usize = 2048;
/// The most characters of a title.
const MAX_TITLE: usize = 64;
/// The most characters of a description.
const MAX_DESCRIPTION: usize = 512;
/// The most bytes of an address.
const MAX_URL: usize = 1024;
/// The most characters of the id of a picture.
const MAX_MEDIA_ID: usize = 128;

/// The reply, if WeChat can take it.
pub(super) fn check(message: CustomMessage, checks: &mut Checks) -> Option<CustomMessage> {
    let mut field = |name: &str, rule, is_right: bool| {
        let path = format!("message.{name}");
        checks.field(&path, rule, is_right.then_some(())).is_some()
    };
    let is_right = match &message {
        CustomMessage::Text { content } => {
            let fits = content.len() <= MAX_TEXT && !content.trim().is_empty();
            field("content", Rule::MessageText, fits)
        }
        CustomMessage::Image { media_id } => field("mediaId", Rule::MediaId, is_media_id(media_id)),
        CustomMessage::Link {
            title,
            description,
            url,
            thumb_url,
        } => [
            field("title", Rule::MessageTitle, is_text(title, MAX_TITLE)),
            field(
                "description",
                Rule::MessageDescription,
                is_text(description, MAX_DESCRIPTION),
            ),
            field("url", Rule::HttpsUrl, is_https(url)),
            field("thumbUrl", Rule::HttpsUrl, is_https(thumb_url)),
        ]
        .into_iter()
        .all(|is_right| is_right),
        CustomMessage::MiniProgramPage {
            title,
            page_path,
            thumb_media_id,
        } => [
            field("title", Rule::MessageTitle, is_text(title, MAX_TITLE)),
            field("pagePath", Rule::Page, is_page(page_path)),
            field("thumbMediaId", Rule::MediaId, is_media_id(thumb_media_id)),
        ]
        .into_iter()
        .all(|is_right| is_right),
    };
    is_right.then_some(message)
}

fn is_text(text: &str, longest: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= longest
}

fn is_media_id(text: &str) -> bool {
    (1..=MAX_MEDIA_ID).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}

fn is_https(text: &str) -> bool {
    let url = Url::parse(text);
    text.len() <= MAX_URL && url.is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn violations(message: Value) -> usize {
        let mut checks = Checks::default();
        let message = serde_json::from_value(message).unwrap();
        let checked = check(message, &mut checks);
        assert_eq!(checked.is_some(), checks.is_ok());
        checks
            .finish()
            .map_or_else(|violations| violations.len(), |()| 0)
    }

    #[test]
    fn a_text_has_2048_bytes_at_most() {
        let text = |content: &str| violations(json!({"kind": "text", "content": content}));
        assert_eq!(text(&"字".repeat(682)), 0);
        assert_eq!(text(&"字".repeat(683)), 1);
        assert_eq!((text(""), text(" \n")), (1, 1));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let page = |title: &str, path: &str, media: &str| {
            violations(json!({
                "kind": "miniProgramPage", "title": title, "pagePath": path, "thumbMediaId": media,
            }))
        };
        assert_eq!(page("订单", "pages/order?id=1", "m-1"), 0);
        assert_eq!(page("", "", ""), 3);
        let link = |url: &str| {
            violations(json!({
                "kind": "link", "title": "t", "description": "d", "url": url, "thumbUrl": url,
            }))
        };
        assert_eq!(link("https://a.cn/x"), 0);
        assert_eq!((link("http://a.cn/x"), link("a.cn")), (2, 2));
        assert_eq!(violations(json!({"kind": "image", "mediaId": "a b"})), 1);
    }
}
