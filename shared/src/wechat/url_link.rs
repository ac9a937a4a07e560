//! generateUrlLink: an https address that opens the mini-program from a browser, a text message or an e-mail.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/qrcode-link/url-link/generateUrlLink.html

use std::ops::RangeInclusive;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AuthorizedWeChat, EnvVersion, WeChatError,
    client::Api,
    errcode,
    wxacode::{cache_key, is_allowed},
};
use crate::ids::AppId;

const API: Api = Api {
    name: "generateUrlLink",
    method: Method::POST,
    path: "/wxa/generate_urllink",
    // A second link for the same is as good.
    idempotent: true,
    refusal: errcode::link,
};

/// The expiry is a number of days from now, not a time.
const AFTER_DAYS: u8 = 1;
/// Links have about 40 characters.
const MAX_LINK: usize = 256;

/// What a link opens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkRequest {
    /// The page, without a query ([`CodeRequest::is_page`](super::CodeRequest::is_page)). None opens the first
    /// page.
    pub path: Option<String>,
    /// The page's query: see [`Self::is_query`].
    pub query: Option<String>,
    /// When it ends, one of [`Self::DAYS`].
    pub expire_days: u16,
    /// The version of the mini-program that it opens.
    pub env_version: EnvVersion,
}

#[derive(Deserialize)]
struct LinkResponse {
    url_link: String,
}

impl LinkRequest {
    /// How long a link may last.
    pub const DAYS: RangeInclusive<u16> = 1..=30;

    /// The most characters of a query.
    pub const MAX_QUERY: usize = 1024;

    /// Whether it is 1 to 1,024 letters, digits and ``!#$&'()*+,/:;=?@-._~%``.
    #[must_use]
    pub fn is_query(text: &str) -> bool {
        (1..=Self::MAX_QUERY).contains(&text.len())
            && text.bytes().all(|byte| is_allowed(byte) || byte == b'%')
    }

    /// The key that a link is cached under: one is as good as another.
    #[must_use]
    pub fn cache_key(&self, app_id: &AppId) -> String {
        cache_key("url-link", app_id, &self.body())
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "expire_type": AFTER_DAYS, "expire_interval": self.expire_days, "env_version": self.env_version,
        });
        if let Some(path) = &self.path {
            body["path"] = path.as_str().into();
        }
        if let Some(query) = &self.query {
            body["query"] = query.as_str().into();
        }
        body
    }
}

impl AuthorizedWeChat {
    /// Has WeChat make a link.
    ///
    /// # Errors
    /// [`WeChatError::TargetInvalid`] when it can't lead there; the others when the call fails.
    pub async fn url_link(
        &self,
        app_id: &AppId,
        link: &LinkRequest,
    ) -> Result<String, WeChatError> {
        let body = link.body();
        let response: LinkResponse = self
            .call_for_app(app_id, &API, || self.wechat.request_with(&API, &body))
            .await?;
        let link = response.url_link;
        if !is_link(&link) {
            return Err(WeChatError::Unreadable("a link of another form".into()));
        }
        Ok(link)
    }
}

fn is_link(text: &str) -> bool {
    text.starts_with("https://")
        && text.len() <= MAX_LINK
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_documented_one() {
        let mut link = LinkRequest {
            path: Some("pages/order".to_owned()),
            query: Some("id=7".to_owned()),
            expire_days: 30,
            env_version: EnvVersion::Trial,
        };
        let expected = json!({
            "path": "pages/order", "query": "id=7", "expire_type": 1, "expire_interval": 30,
            "env_version": "trial",
        });
        assert_eq!(link.body(), expected);
        (link.path, link.query) = (None, None);
        let expected = json!({"expire_type": 1, "expire_interval": 30, "env_version": "trial"});
        assert_eq!(link.body(), expected);
    }

    #[test]
    fn a_query_has_wechats_characters() {
        for good in ["a", "id=7&name=%E4%BD%A0", &"x".repeat(1024)] {
            assert!(LinkRequest::is_query(good), "{good}");
        }
        for bad in ["", "a b", "你", "a\"b", &"x".repeat(1025)] {
            assert!(!LinkRequest::is_query(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_an_https_address_is_a_link() {
        assert!(is_link("https://wxaurl.cn/BQZRrcFCPvg"));
        let long = format!("https://wxaurl.cn/{}", "x".repeat(MAX_LINK));
        for bad in [
            "",
            "http://wxaurl.cn/a",
            "javascript:alert(1)",
            "https://a b",
            &long,
        ] {
            assert!(!is_link(bad), "{bad}");
        }
    }
}
