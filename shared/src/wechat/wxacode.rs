//! getUnlimitedQRCode: a mini-program code, a round picture that opens a page when it is scanned.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/qrcode-link/qr-code/getUnlimitedQRCode.html

use std::ops::RangeInclusive;

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    AuthorizedWeChat, WeChatError,
    client::{Answer, Api, errcode_of},
    errcode,
};
use crate::{ids::AppId, values::ImageType};

const API: Api = Api {
    name: "getUnlimitedQRCode",
    method: Method::POST,
    path: "/wxa/getwxacodeunlimit",
    // The same request gives the same code.
    idempotent: true,
    refusal: errcode::code,
};

/// What a code opens and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeRequest {
    /// What the page gets as its `scene`: see [`Self::is_scene`].
    pub scene: String,
    /// The page, without a query: see [`Self::is_page`]. None opens the first page.
    pub page: Option<String>,
    /// Whether WeChat refuses a page that the published version does not have.
    pub check_path: bool,
    /// The version of the mini-program that it opens.
    pub env_version: EnvVersion,
    /// In pixels, one of [`Self::WIDTHS`].
    pub width: u16,
    /// Whether it has no background.
    pub transparent: bool,
}

/// The version of a mini-program that a code or a link opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EnvVersion {
    /// The published version.
    #[default]
    Release,
    /// The trial version.
    Trial,
    /// The developers' version.
    Develop,
}

impl EnvVersion {
    const ALL: [Self; 3] = [Self::Release, Self::Trial, Self::Develop];

    /// The version with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Trial => "trial",
            Self::Develop => "develop",
        }
    }
}

/// A picture that WeChat drew.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// `image/png` or `image/jpeg`.
    pub content_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl CodeRequest {
    /// The widths that a code can have.
    pub const WIDTHS: RangeInclusive<u16> = 280..=1280;

    /// The width that WeChat takes for none.
    pub const DEFAULT_WIDTH: u16 = 430;

    /// The most characters of a scene.
    pub const MAX_SCENE: usize = 32;

    /// The most characters of a page's path.
    pub const MAX_PAGE: usize = 128;

    /// Whether it is 1 to 32 letters, digits and ``!#$&'()*+,/:;=?@-._~``.
    #[must_use]
    pub fn is_scene(text: &str) -> bool {
        (1..=Self::MAX_SCENE).contains(&text.len()) && text.bytes().all(is_allowed)
    }

    /// Whether it is the path of a page, such as `pages/index/index`: without a leading slash and without a
    /// query.
    #[must_use]
    pub fn is_page(text: &str) -> bool {
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            !part.is_empty()
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        text.len() <= Self::MAX_PAGE && text.split('/').all(is_part)
    }

    /// The key that the code is cached under: it is the same code for all who ask for it.
    #[must_use]
    pub fn cache_key(&self, app_id: &AppId) -> String {
        cache_key("wxacode", app_id, &self.body())
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "scene": self.scene, "check_path": self.check_path, "env_version": self.env_version,
            "width": self.width, "is_hyaline": self.transparent,
        });
        if let Some(page) = &self.page {
            body["page"] = page.as_str().into();
        }
        body
    }
}

/// A digest, because a scene can name a person.
pub(super) fn cache_key(kind: &str, app_id: &AppId, body: &Value) -> String {
    let digest = Sha256::new()
        .chain_update(app_id.as_str())
        .chain_update([0])
        .chain_update(body.to_string())
        .finalize();
    format!("{{{kind}:{}}}", hex::encode(digest))
}

/// The characters that WeChat allows in scenes.
pub(super) fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&'()*+,/:;=?@-._~".contains(&byte)
}

impl Picture {
    /// The picture in this file; `None` if the file is not a PNG or JPEG picture.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Option<Self> {
        Some(Self {
            content_type: Self::kind(&bytes)?.content_type(),
            bytes,
        })
    }

    fn kind(bytes: &[u8]) -> Option<ImageType> {
        ImageType::of_first_bytes(bytes)
            .filter(|kind| matches!(kind, ImageType::Png | ImageType::Jpeg))
    }
}

/// A failure is JSON.
impl Answer for Picture {
    // Also the most that a cache holds for one code; those of 1,280 pixels have about half of it.
    const MAX_BYTES: usize = 512 * 1024;

    fn errcode(body: &[u8]) -> Result<i64, WeChatError> {
        match Self::kind(body) {
            Some(_) => Ok(0),
            None => errcode_of(body),
        }
    }

    fn read(bytes: Vec<u8>) -> Result<Self, WeChatError> {
        Self::of(bytes).ok_or_else(|| WeChatError::Unreadable("not a picture".into()))
    }
}

impl AuthorizedWeChat {
    /// Has WeChat draw a code.
    ///
    /// # Errors
    /// [`WeChatError::TargetInvalid`] when it can't lead there; the others when the call fails.
    pub async fn mini_program_code(
        &self,
        app_id: &AppId,
        code: &CodeRequest,
    ) -> Result<Picture, WeChatError> {
        let body = code.body();
        self.call_for_app(app_id, &API, || self.wechat.request_with(&API, &body))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nIHDR";

    #[test]
    fn the_body_is_the_documented_one() {
        let mut code = CodeRequest {
            scene: "a=1".to_owned(),
            page: Some("pages/index/index".to_owned()),
            check_path: false,
            env_version: EnvVersion::Develop,
            width: 430,
            transparent: true,
        };
        let mut expected = json!({
            "scene": "a=1", "page": "pages/index/index", "check_path": false, "env_version": "develop",
            "width": 430, "is_hyaline": true,
        });
        assert_eq!(code.body(), expected);
        code.page = None;
        expected.as_object_mut().unwrap().remove("page");
        assert_eq!(code.body(), expected);
    }

    #[test]
    fn different_codes_have_different_keys() {
        let code = CodeRequest {
            scene: "a".to_owned(),
            page: None,
            check_path: true,
            env_version: EnvVersion::Release,
            width: 430,
            transparent: false,
        };
        let (app, other): (AppId, AppId) = ("wx1".parse().unwrap(), "wx2".parse().unwrap());
        let key = code.cache_key(&app);
        assert!(key.starts_with("{wxacode:") && key.len() == 74, "{key}");
        assert_ne!(code.cache_key(&other), key);
        let wider = CodeRequest {
            width: 431,
            ..code.clone()
        };
        assert_ne!(wider.cache_key(&app), key);
        assert_eq!(code.cache_key(&app), key);
    }

    #[test]
    fn a_version_is_found_by_the_name_that_it_is_written_with() {
        for version in EnvVersion::ALL {
            assert_eq!(EnvVersion::of(version.name()), Some(version));
            assert_eq!(json!(version), version.name());
        }
        assert_eq!(EnvVersion::of("formal"), None);
    }

    #[test]
    fn a_scene_has_wechats_characters() {
        for good in [
            "a",
            "id=7&from=poster",
            "!#$&'()*+,/:;=?@-._~",
            &"x".repeat(32),
        ] {
            assert!(CodeRequest::is_scene(good), "{good}");
        }
        for bad in ["", "a b", "a%20", "场景", "a\n", &"x".repeat(33)] {
            assert!(!CodeRequest::is_scene(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_page_is_a_path_without_a_query() {
        assert!(CodeRequest::is_page("pages/index/index"));
        let long = "a".repeat(CodeRequest::MAX_PAGE + 1);
        for bad in [
            "",
            "/pages/index",
            "pages//index",
            "pages/",
            "pages/index?a=1",
            "页",
            &long,
        ] {
            assert!(!CodeRequest::is_page(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_picture_is_told_from_an_error_by_its_first_bytes() {
        assert_eq!(Picture::errcode(PNG), Ok(0));
        let picture = Picture::read(PNG.to_vec()).ok().unwrap();
        assert_eq!((picture.content_type, &*picture.bytes), ("image/png", PNG));
        let error = br#"{"errcode":41030,"errmsg":"invalid page"}"#;
        assert_eq!(Picture::errcode(error), Ok(41030));
        for bad in [b"".as_slice(), b"<html>", b"GIF89a", &[0xff]] {
            assert!(
                matches!(Picture::errcode(bad), Err(WeChatError::Unreadable(_))),
                "{bad:?}"
            );
        }
        let no_picture = Picture::read(br#"{"errcode":0}"#.to_vec()).err();
        assert!(matches!(no_picture, Some(WeChatError::Unreadable(_))));
    }
}
