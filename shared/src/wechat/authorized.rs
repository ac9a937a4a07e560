//! Calls that carry an access token: one that WeChat considers stale is discarded and replaced, and
//! the call repeated once.

use std::sync::Arc;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::{WeChat, WeChatAccessTokens, WeChatError, client::Api};
use crate::ids::AppId;

/// WeChat's APIs that need an access token. Login uses none of them: it needs only a [`WeChat`].
/// Cheap to clone.
#[derive(Clone)]
pub struct AuthorizedWeChat {
    pub(super) wechat: Arc<WeChat>,
    tokens: Arc<WeChatAccessTokens>,
}

impl AuthorizedWeChat {
    /// Calls through `wechat`, with `tokens`.
    #[must_use]
    pub fn new(wechat: Arc<WeChat>, tokens: WeChatAccessTokens) -> Self {
        Self {
            wechat,
            tokens: Arc::new(tokens),
        }
    }

    /// Sends `request` to `api` with the access token of `app_id` in its query. A stale token is
    /// replaced once: WeChat did not carry out the rejected call, so even one that is not
    /// idempotent may be repeated.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        app_id: &AppId,
        api: &Api,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, WeChatError> {
        let with =
            |token: &SecretString| request().query(&[("access_token", token.expose_secret())]);
        let token = self.tokens.get(&self.wechat, app_id).await?;
        match self.wechat.call(api, with(&token)).await {
            Err(WeChatError::AccessTokenStale(_)) => {
                self.tokens.discard(app_id, &token).await;
                let token = self.tokens.get(&self.wechat, app_id).await?;
                self.wechat.call(api, with(&token)).await
            }
            result => result,
        }
    }
}
