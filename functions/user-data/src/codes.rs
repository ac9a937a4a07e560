//! `POST /api/v1/wxacode`: a mini-program code, which opens a page when it is scanned.

use std::sync::Arc;

use axum::extract::State;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Optional, Reason, Rule, Success},
    auth::Claims,
    cache::{CachePolicy, Cached, Loading, LoadingCache},
    config::CodeCacheSettings,
    edge::AuthenticatedUser,
    instance::Instance,
    wechat::{CodeRequest, EnvVersion, Picture, WeChatError},
};

use crate::making::{Making, failure};

/// A mini-program code that is to be made.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "CodeBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCode {
    /// What the page gets as `scene`.
    #[cfg_attr(
        feature = "openapi",
        schemars(length(min = 1, max = CodeRequest::MAX_SCENE), regex(pattern = r"^[A-Za-z0-9!#$&'()*+,/:;=?@._~-]+$"))
    )]
    scene: String,
    /// The page that it opens, without a query; the first page is the default.
    #[cfg_attr(feature = "openapi", schemars(with = "String", length(min = 1, max = CodeRequest::MAX_PAGE), regex(pattern = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")))]
    #[serde(default)]
    page: Optional<String>,
    /// Whether a page that the published version does not have is refused.
    #[serde(default = "checked")]
    check_path: bool,
    /// The version of the mini-program that it opens; `release` is the default.
    #[cfg_attr(feature = "openapi", schemars(with = "EnvVersion"))]
    #[serde(default)]
    env_version: Optional<String>,
    /// In pixels.
    #[cfg_attr(feature = "openapi", schemars(range(min = *CodeRequest::WIDTHS.start(), max = *CodeRequest::WIDTHS.end())))]
    #[serde(default = "default_width")]
    width: u16,
    /// Whether it has no background.
    #[serde(default)]
    transparent: bool,
}

const fn checked() -> bool {
    true
}

const fn default_width() -> u16 {
    CodeRequest::DEFAULT_WIDTH
}

/// A mini-program code that is to be made.
pub struct CodeInput(CodeRequest);

impl Input for CodeInput {
    type Raw = RawCode;

    fn parse(raw: RawCode, checks: &mut Checks) -> Option<Self> {
        let scene = Some(raw.scene).filter(|scene| CodeRequest::is_scene(scene));
        let scene = checks.field("scene", Rule::CodeScene, scene);
        let page = page(checks, "page", raw.page);
        let env_version = version(checks, raw.env_version);
        let width = Some(raw.width).filter(|width| CodeRequest::WIDTHS.contains(width));
        let width = checks.field("width", Rule::CodeWidth, width);
        Some(Self(CodeRequest {
            scene: scene?,
            page,
            check_path: raw.check_path,
            env_version: env_version?,
            width: width?,
            transparent: raw.transparent,
        }))
    }
}

/// A page that may be left out.
pub fn page(checks: &mut Checks, field: &str, Optional(page): Optional<String>) -> Option<String> {
    let page = page?;
    let page = Some(page).filter(|page| CodeRequest::is_page(page));
    checks.field(field, Rule::PagePath, page)
}

/// A version that may be left out.
pub fn version(checks: &mut Checks, version: Optional<String>) -> Option<EnvVersion> {
    let version = match version.0 {
        None => Some(EnvVersion::default()),
        Some(name) => EnvVersion::of(&name),
    };
    checks.field("envVersion", Rule::EnvVersion, version)
}

/// A mini-program code. Inside JSON, as every answer: pages show it by a `data:` URL, and an error has its
/// reason.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "Code")
)]
#[serde(rename_all = "camelCase")]
pub struct CodeResponse {
    /// `image/png` or `image/jpeg`.
    content_type: &'static str,
    /// The file, as base64.
    data: String,
}

/// Has codes made, and keeps them for a while.
pub struct Codes {
    making: Making,
    cache: LoadingCache<CachedCode>,
}

/// The file as WeChat has made it.
struct CachedCode(Picture);

impl Cached for CachedCode {
    fn encode(&self) -> Vec<u8> {
        self.0.bytes.clone()
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        Picture::of(stored.to_vec()).map(Self)
    }
}

impl Codes {
    pub fn new(instance: &Instance, making: Making) -> Self {
        let ttl = CodeCacheSettings::read(instance.env()).code;
        let policy = CachePolicy::new("code", ttl);
        Self {
            making,
            cache: LoadingCache::new(instance.cache(), policy),
        }
    }

    async fn get(&self, caller: &Claims, code: &CodeRequest) -> Result<Picture, ApiError> {
        let load = || -> Loading<'_, CachedCode, WeChatError> {
            Box::pin(async {
                let wechat = self.making.wechat(caller).await?;
                let picture = wechat.mini_program_code(&caller.aud, code).await?;
                Ok(Some(CachedCode(picture)))
            })
        };
        let key = code.cache_key(&caller.aud);
        let cached = self.cache.get(&key, load).await.map_err(failure)?;
        let CachedCode(picture) = cached.ok_or(Reason::Internal)?;
        Ok(picture)
    }
}

pub async fn create(
    caller: AuthenticatedUser,
    State(codes): State<Arc<Codes>>,
    Json(CodeInput(code)): Json<CodeInput>,
) -> Result<Success<CodeResponse>, ApiError> {
    let picture = codes.get(&caller.claims, &code).await?;
    Ok(Success(CodeResponse {
        content_type: picture.content_type,
        data: STANDARD.encode(picture.bytes),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_picture_is_read_from_the_cache() {
        let png = b"\x89PNG\r\n\x1a\n...";
        let CachedCode(picture) = CachedCode::decode(png).unwrap();
        assert_eq!(picture.content_type, "image/png");
        assert_eq!(CachedCode(picture).encode(), png);
        assert!(CachedCode::decode(b"{}").is_none());
    }
}
