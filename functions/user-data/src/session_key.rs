//! A user's `session_key`s and the WeChat APIs that use the current one.
//! `POST /api/v1/user/session-key/reset`.

use std::{sync::Arc, time::Duration};

use axum::extract::State;
use shared::{
    api::{ApiError, Empty, Reason, Success},
    auth::Claims,
    edge::AuthenticatedUser,
    request::{self, deadline},
    users::{IdentityKeys, SessionKeyStore},
    wechat::{AuthorizedWeChat, EncryptKey, KeyOwner},
};
use thiserror::Error;

/// The minimum time for storing a key that WeChat has put in place, even when the request has less
/// left.
const FINISH: Duration = Duration::from_secs(4);

/// The `session_key`s of users. Cheap to clone.
#[derive(Clone)]
pub struct SessionKeys {
    store: Arc<SessionKeyStore>,
    pub wechat: AuthorizedWeChat,
}

impl SessionKeys {
    pub fn new(store: SessionKeyStore, wechat: AuthorizedWeChat) -> Self {
        Self {
            store: Arc::new(store),
            wechat,
        }
    }

    /// The caller's identity in the mini-program that the token is for: the one that logged in.
    pub async fn identity(&self, caller: &Claims) -> Result<IdentityKeys, ApiError> {
        let Claims { sub, aud, sid, .. } = caller;
        Ok(self.store.of(*sub, aud, *sid).await?)
    }

    /// Fails with `session_key_stale` unless WeChat considers the current key the user's.
    pub async fn check(&self, caller: &Claims, identity: &IdentityKeys) -> Result<(), ApiError> {
        Ok(self
            .wechat
            .check_session_key(owner(caller, identity)?)
            .await?)
    }

    pub async fn encrypt_keys(
        &self,
        caller: &Claims,
        identity: &IdentityKeys,
    ) -> Result<Vec<EncryptKey>, ApiError> {
        Ok(self
            .wechat
            .user_encrypt_keys(owner(caller, identity)?)
            .await?)
    }

    async fn reset(&self, caller: &Claims) -> Result<(), ApiError> {
        let identity = self.identity(caller).await?;
        let new = self
            .wechat
            .reset_session_key(owner(caller, &identity)?)
            .await?;
        // WeChat has replaced the key for good: without the new one, no later data would open.
        Ok(deadline::at_least(FINISH, self.store.replace(&identity, &new)).await?)
    }
}

/// For the log.
#[derive(Debug, Error)]
#[error("no session_key is stored that DATA_KEYS opens")]
struct NoSessionKey;

/// A key that can't be decrypted is treated like a stale one: another login replaces both.
fn owner<'a>(caller: &'a Claims, identity: &'a IdentityKeys) -> Result<KeyOwner<'a>, ApiError> {
    let session_key = identity
        .current()
        .ok_or_else(|| ApiError::new(Reason::SessionKeyStale).because(&NoSessionKey))?;
    Ok(KeyOwner {
        app_id: &caller.aud,
        open_id: &identity.open_id,
        session_key,
    })
}

/// Replaces the key at WeChat and in the table. Data in transit still opens with the previous key.
///
/// In a task of its own, which continues when the caller disconnects.
pub async fn reset(
    caller: AuthenticatedUser,
    State(keys): State<SessionKeys>,
) -> Result<Success<Empty>, ApiError> {
    let attempt = async move { keys.reset(&caller.claims).await };
    request::run_to_end(attempt)
        .await
        .map_err(|error| ApiError::new(Reason::Internal).because(&error))??;
    Ok(Success(Empty {}))
}
