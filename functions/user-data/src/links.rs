//! `POST /api/v1/url-links`: an address that opens the mini-program from a browser or a text message.

use std::sync::Arc;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Checks, Input, Json, Optional, Reason, Rule, Success},
    auth::Claims,
    cache::{CachePolicy, Cached, Loading, LoadingCache},
    clock::Clock,
    config::CodeCacheSettings,
    edge::Administrator,
    instance::Instance,
    wechat::{LinkRequest, WeChatError},
};

use crate::{
    codes::{page, version},
    making::{Making, failure},
};

/// A URL link that is to be made.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "UrlLinkBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawLink {
    /// The page that it opens, without a query; the first page is the default.
    #[cfg_attr(feature = "openapi", schemars(with = "String", length(min = 1, max = shared::wechat::CodeRequest::MAX_PAGE), regex(pattern = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")))]
    #[serde(default)]
    path: Optional<String>,
    /// The query that the page gets.
    #[cfg_attr(feature = "openapi", schemars(with = "String", length(min = 1, max = LinkRequest::MAX_QUERY), regex(pattern = r"^[A-Za-z0-9!#$&'()*+,/:;=?@._~%-]+$")))]
    #[serde(default)]
    query: Optional<String>,
    /// How long it is valid.
    #[cfg_attr(feature = "openapi", schemars(range(min = *LinkRequest::DAYS.start(), max = *LinkRequest::DAYS.end())))]
    #[serde(default = "longest")]
    expire_days: u16,
    /// The version of the mini-program that it opens; `release` is the default.
    #[cfg_attr(feature = "openapi", schemars(with = "shared::wechat::EnvVersion"))]
    #[serde(default)]
    env_version: Optional<String>,
}

const fn longest() -> u16 {
    *LinkRequest::DAYS.end()
}

/// A URL link that is to be made.
pub struct LinkInput(LinkRequest);

impl Input for LinkInput {
    type Raw = RawLink;
    const MAY_BE_EMPTY: bool = true;

    fn parse(raw: RawLink, checks: &mut Checks) -> Option<Self> {
        let path = page(checks, "path", raw.path);
        let query = raw.query.0.and_then(|query| {
            let query = Some(query).filter(|query| LinkRequest::is_query(query));
            checks.field("query", Rule::LinkQuery, query)
        });
        let env_version = version(checks, raw.env_version);
        let days = Some(raw.expire_days).filter(|days| LinkRequest::DAYS.contains(days));
        let days = checks.field("expireDays", Rule::ExpireDays, days);
        Some(Self(LinkRequest {
            path,
            query,
            expire_days: days?,
            env_version: env_version?,
        }))
    }
}

/// A URL link.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UrlLink {
    /// The address.
    url: String,
    /// From then on it opens nothing.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    expires_at: Timestamp,
}

impl Cached for UrlLink {
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(stored: &[u8]) -> Option<Self> {
        serde_json::from_slice(stored).ok()
    }
}

/// Has links made, and keeps them for a while.
pub struct Links {
    making: Making,
    cache: LoadingCache<UrlLink>,
    clock: Clock,
}

impl Links {
    pub fn new(instance: &Instance, making: Making) -> Self {
        let ttl = CodeCacheSettings::read(instance.env()).link;
        let policy = CachePolicy::new("link", ttl);
        Self {
            making,
            cache: LoadingCache::new(instance.cache(), policy),
            clock: instance.clock(),
        }
    }

    /// A link is kept for less time than any is valid. That is the store's time: should it be far behind ours, a
    /// link that has expired is replaced.
    async fn get(&self, caller: &Claims, wanted: &LinkRequest) -> Result<UrlLink, ApiError> {
        let key = wanted.cache_key(&caller.aud);
        let link = self.cached(caller, wanted, &key).await?;
        if link.expires_at > self.clock.now() {
            return Ok(link);
        }
        self.cache.invalidate(&key).await;
        self.cached(caller, wanted, &key).await
    }

    async fn cached(
        &self,
        caller: &Claims,
        wanted: &LinkRequest,
        key: &str,
    ) -> Result<UrlLink, ApiError> {
        let load = || -> Loading<'_, UrlLink, WeChatError> {
            Box::pin(async { self.make(caller, wanted).await.map(Some) })
        };
        let link = self.cache.get(key, load).await.map_err(failure)?;
        Ok(link.ok_or(Reason::Internal)?)
    }

    /// WeChat counts from a moment after ours, so a link does not end before its `expires_at`.
    async fn make(&self, caller: &Claims, wanted: &LinkRequest) -> Result<UrlLink, WeChatError> {
        let lifetime = SignedDuration::from_hours(i64::from(wanted.expire_days) * 24);
        let expires_at = self.clock.now().saturating_add(lifetime);
        let wechat = self.making.wechat(caller).await?;
        let url = wechat.url_link(&caller.aud, wanted).await?;
        Ok(UrlLink {
            url,
            expires_at: expires_at.unwrap_or(Timestamp::MAX),
        })
    }
}

pub async fn create(
    caller: Administrator,
    State(links): State<Arc<Links>>,
    Json(LinkInput(link)): Json<LinkInput>,
) -> Result<Success<UrlLink>, ApiError> {
    Ok(Success(links.get(&caller.claims, &link).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let link = UrlLink {
            url: "https://wxaurl.cn/a".to_owned(),
            expires_at: Timestamp::UNIX_EPOCH,
        };
        let stored = link.encode();
        let text = r#"{"url":"https://wxaurl.cn/a","expiresAt":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(stored, text.as_bytes());
        assert_eq!(UrlLink::decode(&stored).unwrap().url, link.url);
        assert!(UrlLink::decode(b"{}").is_none());
    }
}
