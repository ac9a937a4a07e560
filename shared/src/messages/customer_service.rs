//! Replies of customer service: which WeChat can take.

use super::content::is_page;
use crate::{
    api::{Checks, Rule},
    values::AvatarUrl,
    wechat::CustomMessage,
};

/// The most bytes of a text.
const MAX_TEXT: usize = 2048;
/// The most characters of a title.
const MAX_TITLE: usize = 64;
/// The most characters of a description.
const MAX_DESCRIPTION: usize = 512;
/// The most characters of the id of a picture.
const MAX_MEDIA_ID: usize = 128;

/// The reply, if WeChat can take it, with its addresses as they were checked.
pub(super) fn check(message: CustomMessage, checks: &mut Checks) -> Option<CustomMessage> {
    match message {
        CustomMessage::Text { content } => {
            let fits = content.len() <= MAX_TEXT && !content.trim().is_empty();
            let content = fits.then_some(content);
            let content = checks.field("message.content", Rule::MessageText, content)?;
            Some(CustomMessage::Text { content })
        }
        CustomMessage::Image { media_id } => {
            let media_id = picture("message.mediaId", media_id, checks)?;
            Some(CustomMessage::Image { media_id })
        }
        CustomMessage::Link {
            title,
            description,
            url,
            thumb_url,
        } => {
            let title = title_of(title, checks);
            let rule = Rule::MessageDescription;
            let description = text(description, MAX_DESCRIPTION);
            let description = checks.field("message.description", rule, description);
            let url = checks.field("message.url", Rule::HttpsUrl, address(&url));
            let thumb_url = address(&thumb_url);
            let thumb_url = checks.field("message.thumbUrl", Rule::HttpsUrl, thumb_url);
            Some(CustomMessage::Link {
                title: title?,
                description: description?,
                url: url?,
                thumb_url: thumb_url?,
            })
        }
        CustomMessage::MiniProgramPage {
            title,
            page_path,
            thumb_media_id,
        } => {
            let title = title_of(title, checks);
            let page_path = is_page(&page_path).then_some(page_path);
            let page_path = checks.field("message.pagePath", Rule::Page, page_path);
            let thumb_media_id = picture("message.thumbMediaId", thumb_media_id, checks);
            Some(CustomMessage::MiniProgramPage {
                title: title?,
                page_path: page_path?,
                thumb_media_id: thumb_media_id?,
            })
        }
    }
}

fn title_of(title: String, checks: &mut Checks) -> Option<String> {
    checks.field("message.title", Rule::MessageTitle, text(title, MAX_TITLE))
}

fn text(text: String, longest: usize) -> Option<String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= longest;
    fits.then_some(text)
}

fn picture(field: &str, id: String, checks: &mut Checks) -> Option<String> {
    let fits = (1..=MAX_MEDIA_ID).contains(&id.len());
    let is_id = fits && id.bytes().all(|it| it.is_ascii_graphic());
    checks.field(field, Rule::MediaId, is_id.then_some(id))
}

/// By the rule of the other https URLs of the API, that of avatars.
fn address(url: &str) -> Option<String> {
    AvatarUrl::parse(url).map(|url| url.as_str().to_owned())
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
        assert_eq!(link("https://u:p@a.cn/x"), 2);
        // 13 bytes, and 6 for each letter once it is normalized.
        let long = |letters: usize| format!("https://a.cn/{}", "é".repeat(letters));
        assert_eq!((link(&long(168)), link(&long(169))), (0, 2));
        assert_eq!(violations(json!({"kind": "image", "mediaId": "a b"})), 1);
    }

    #[test]
    fn addresses_are_sent_as_they_were_checked() {
        let message = serde_json::from_value(json!({
            "kind": "link", "title": "t", "description": "d",
            "url": "https://a.cn/订单", "thumbUrl": "https://A.cn",
        }));
        let checked = check(message.unwrap(), &mut Checks::default());
        let Some(CustomMessage::Link { url, thumb_url, .. }) = checked else {
            panic!("{checked:?}")
        };
        assert_eq!(url, "https://a.cn/%E8%AE%A2%E5%8D%95");
        assert_eq!(thumb_url, "https://a.cn/");
    }
}
