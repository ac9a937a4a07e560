//! Calls that carry an access token: one that WeChat considers stale is discarded and replaced, and
//! the call repeated once.
//!
//! WeChat's quota of such calls is the mini-program's, so each account has a limit of its own.

use std::sync::Arc;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};

use super::{
    WeChat, WeChatAccessTokens, WeChatError,
    client::{Answer, Api},
};
use crate::{
    ids::{AppId, OpenId},
    resilience::{
        Limiter,
        rate_limit::{Cost, Identity},
    },
};

/// WeChat's APIs that need an access token. No login depends on them: it needs only a [`WeChat`].
/// Cheap to clone.
#[derive(Clone)]
pub struct AuthorizedWeChat {
    pub(super) wechat: Arc<WeChat>,
    tokens: Arc<WeChatAccessTokens>,
    quota: AccountQuota,
}

/// How many calls may be made on behalf of one account. Cheap to clone.
#[derive(Clone)]
pub struct AccountQuota {
    /// Charges the account.
    pub limiter: Limiter,
    /// What a call costs it.
    pub cost: Option<Cost>,
}

impl AuthorizedWeChat {
    /// Calls through `wechat`, with `tokens`, as often as `quota` allows.
    #[must_use]
    pub fn new(wechat: Arc<WeChat>, tokens: WeChatAccessTokens, quota: AccountQuota) -> Self {
        Self {
            wechat,
            tokens: Arc::new(tokens),
            quota,
        }
    }

    /// Fetches the access token that calls need, if there is none. What fails here has sent nothing of a
    /// call that follows.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn prepare(&self, app_id: &AppId) -> Result<(), WeChatError> {
        self.tokens.get(&self.wechat, app_id).await.map(drop)
    }

    /// Sends `request` to `api`, on behalf of the account `open_id` and with the access token of
    /// `app_id` in its query.
    ///
    /// # Errors
    /// [`WeChatError::AccountLimited`] when the account has made too many calls; nothing is sent.
    /// The others when the call fails.
    pub(super) async fn call<T: Answer>(
        &self,
        (app_id, open_id): (&AppId, &OpenId),
        api: &Api,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, WeChatError> {
        self.charge(app_id, open_id).await?;
        self.call_for_app(app_id, api, request).await
    }

    /// The same for a call that sends something: after an [ambiguous](WeChatError::is_ambiguous) error it
    /// may have been sent.
    ///
    /// # Errors
    /// As [`call`](Self::call). [`WeChatError::NoAccessToken`] instead of an ambiguous error of the access
    /// token's: then nothing was sent.
    pub(super) async fn call_once<T: Answer>(
        &self,
        (app_id, open_id): (&AppId, &OpenId),
        api: &Api,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, WeChatError> {
        self.charge(app_id, open_id).await?;
        let called = self.call_with_token(app_id, api, request).await;
        called.map_err(|failure| match failure {
            Failure::Token(error) if error.is_ambiguous() => {
                WeChatError::NoAccessToken(Box::new(error))
            }
            failure => failure.into_error(),
        })
    }

    async fn charge(&self, app_id: &AppId, open_id: &OpenId) -> Result<(), WeChatError> {
        let account = Identity::account(app_id, open_id);
        self.quota.limiter.charge(account, self.quota.cost).await?;
        Ok(())
    }

    /// The same for a call that is made on behalf of no account. A stale token is replaced once:
    /// WeChat did not carry out the rejected call, so even one that is not idempotent may be repeated.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub(super) async fn call_for_app<T: Answer>(
        &self,
        app_id: &AppId,
        api: &Api,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, WeChatError> {
        let called = self.call_with_token(app_id, api, request).await;
        called.map_err(Failure::into_error)
    }

    async fn call_with_token<T: Answer>(
        &self,
        app_id: &AppId,
        api: &Api,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        let with =
            |token: &SecretString| request().query(&[("access_token", token.expose_secret())]);
        let token = self.token(app_id).await?;
        let called = match self.wechat.call(api, with(&token)).await {
            Err(WeChatError::AccessTokenStale(_)) => {
                self.tokens.discard(app_id, &token).await;
                let token = self.token(app_id).await?;
                self.wechat.call(api, with(&token)).await
            }
            called => called,
        };
        called.map_err(Failure::Call)
    }

    async fn token(&self, app_id: &AppId) -> Result<SecretString, Failure> {
        let token = self.tokens.get(&self.wechat, app_id).await;
        token.map_err(Failure::Token)
    }
}

/// Where a call failed.
enum Failure {
    /// There is no access token. WeChat did not carry the call out.
    Token(WeChatError),
    /// In the call itself.
    Call(WeChatError),
}

impl Failure {
    fn into_error(self) -> WeChatError {
        match self {
            Self::Token(error) | Self::Call(error) => error,
        }
    }
}
