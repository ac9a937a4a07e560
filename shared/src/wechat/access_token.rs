//! The access token of each mini-program: cached in this instance's memory, shared between
//! instances through Redis, and fetched by one of them at a time.
//!
//! WeChat renews a token five minutes before it expires, and both tokens are valid until then. So
//! in a token's last five minutes one caller fetches its successor while the others still get the
//! old one. Without Redis, and while Redis is down, each instance fetches its own: WeChat returns
//! the same stable token to all of them, so nothing breaks.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use super::{WeChat, WeChatError, stable_token::Granted};
use crate::{
    clock::Clock,
    encrypted_kv::EncryptedKv,
    ids::AppId,
    kv::{Delivery, Kv, KvError, Poll, Record},
    random::Random,
    request::{self, deadline},
    telemetry::{self, OrDegraded},
};

/// WeChat issues a successor this long before a token expires.
const RENEWAL: Duration = Duration::from_mins(5);
/// A token that expires this soon is no longer used: it could expire in transit.
const MARGIN: Duration = Duration::from_secs(10);
/// How long reading and storing may take, in addition to the call.
const LOCK_RESERVE: Duration = Duration::from_secs(1);

/// The name of shared tokens in `degraded` log lines.
const WHAT: &str = "access token";

/// The access tokens of all mini-programs. Keep one per instance.
pub struct WeChatAccessTokens {
    local: Mutex<HashMap<AppId, Token>>,
    shared: EncryptedKv,
    /// Stores the locks.
    kv: Kv,
    clock: Clock,
    random: Random,
    /// A lock's time to live, and how long other callers wait for it.
    lock_ttl: Duration,
}

/// A token with its expiry. The clocks of instances need not agree to the second: there are five
/// minutes to renew in, and WeChat reports an expired token (42001).
#[derive(Debug, Clone)]
struct Token {
    text: SecretString,
    expires_at: Timestamp,
}

/// A token as it is stored in Redis, decrypted.
#[derive(Serialize, Deserialize)]
struct SharedToken {
    token: String,
    expires_at: Timestamp,
}

/// The state of a cached token.
enum CachedToken {
    /// Valid, and not due for renewal.
    Fresh(Token),
    /// Valid, and due for renewal.
    Ending(Token),
    /// Missing, or too close to its expiry.
    Missing,
}

/// Why shared state and WeChat gave no token.
#[derive(Debug, Error)]
enum SharedTokenError {
    /// Redis is unavailable.
    #[error(transparent)]
    Shared(#[from] KvError),
    /// WeChat issued none.
    #[error(transparent)]
    WeChat(#[from] WeChatError),
}

/// The exclusive right to fetch a token.
struct Lock {
    key: String,
    holder: [u8; 16],
}

/// What [`WeChatAccessTokens`] needs.
pub struct AccessTokenParts {
    /// Stores the tokens that instances share, encrypted.
    pub shared: EncryptedKv,
    /// The same store, for locks.
    pub kv: Kv,
    /// The clock.
    pub clock: Clock,
    /// Makes the values that identify a lock's holder.
    pub random: Random,
    /// The timeout of one call to WeChat.
    pub call_timeout: Duration,
}

impl WeChatAccessTokens {
    /// A token cache from its parts.
    #[must_use]
    pub fn new(parts: AccessTokenParts) -> Self {
        Self {
            local: Mutex::default(),
            shared: parts.shared,
            kv: parts.kv,
            clock: parts.clock,
            random: parts.random,
            lock_ttl: parts.call_timeout + LOCK_RESERVE,
        }
    }

    /// A valid token: cached, shared, or fetched.
    pub(super) async fn get(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<SecretString, WeChatError> {
        let local = self.classify(self.lock_local().get(app_id).cloned());
        if let CachedToken::Fresh(token) = local {
            return Ok(token.text);
        }
        match self.get_shared(wechat, app_id).await {
            Ok(token) => Ok(token),
            Err(SharedTokenError::WeChat(error)) => Err(error),
            Err(SharedTokenError::Shared(error)) => {
                telemetry::degraded(WHAT, &error);
                self.get_alone(wechat, app_id, local).await
            }
        }
    }

    /// A valid token while Redis is unavailable.
    async fn get_alone(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
        local: CachedToken,
    ) -> Result<SecretString, WeChatError> {
        match local {
            CachedToken::Fresh(token) | CachedToken::Ending(token) => Ok(token.text),
            CachedToken::Missing => Ok(self.fetch(wechat, app_id).await?.text),
        }
    }

    /// Removes a token that WeChat considers stale from this instance and from Redis, unless a
    /// newer one has replaced it.
    pub(super) async fn discard(&self, app_id: &AppId, stale: &SecretString) {
        let is_stale = |text: &str| text == stale.expose_secret();
        {
            let mut local = self.lock_local();
            if local
                .get(app_id)
                .is_some_and(|local| is_stale(local.text.expose_secret()))
            {
                local.remove(app_id);
            }
        }
        let key = key(app_id);
        let discarded = self
            .shared
            .remove_if(&key, |shared: &SharedToken| is_stale(&shared.token));
        discarded.await.or_degraded(WHAT);
    }

    async fn get_shared(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<SecretString, SharedTokenError> {
        let mut poll = Poll::until(Instant::now() + deadline::cap(self.lock_ttl));
        loop {
            if let Some(token) = self.try_shared(wechat, app_id).await? {
                return Ok(token);
            }
            if !poll.wait().await {
                return Ok(self.fetch(wechat, app_id).await?.text);
            }
            request::renew_redis_budget();
        }
    }

    /// The shared token, or a new one if no other caller is fetching it; `None` when there is no
    /// valid token and another caller has the lock.
    async fn try_shared(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<Option<SecretString>, SharedTokenError> {
        let ending = match self.read_shared(app_id).await? {
            CachedToken::Fresh(token) => return Ok(Some(token.text)),
            CachedToken::Ending(token) => Some(token),
            CachedToken::Missing => None,
        };
        let Some(Lock { key, holder }) = self.try_lock(app_id).await? else {
            return Ok(ending.map(|token| token.text));
        };
        let refreshed = self.refresh(wechat, app_id, ending).await;
        let released = self.kv.remove(&key, &holder, Delivery::Required).await;
        released.or_degraded(WHAT);
        Ok(Some(refreshed?))
    }

    /// Fetches under the lock, unless another instance did so between our read and our lock. While
    /// the old token is valid, a failed fetch is tolerated.
    async fn refresh(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
        ending: Option<Token>,
    ) -> Result<SecretString, WeChatError> {
        if let Ok(CachedToken::Fresh(token)) = self.read_shared(app_id).await {
            return Ok(token.text);
        }
        match (self.fetch(wechat, app_id).await, ending) {
            (Ok(token), _) => {
                self.share(app_id, &token).await.or_degraded(WHAT);
                Ok(token.text)
            }
            (Err(error), Some(ending)) => {
                telemetry::degraded("access token renewal", &error);
                Ok(ending.text)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn fetch(&self, wechat: &WeChat, app_id: &AppId) -> Result<Token, WeChatError> {
        let Granted {
            token: text,
            lifetime,
        } = wechat.stable_token(app_id).await?;
        let token = Token {
            text,
            expires_at: self.clock.now() + lifetime,
        };
        self.lock_local().insert(app_id.clone(), token.clone());
        Ok(token)
    }

    /// The token in Redis, which is cached in this instance if it is fresh.
    async fn read_shared(&self, app_id: &AppId) -> Result<CachedToken, KvError> {
        let shared: Option<SharedToken> = self.shared.get(&key(app_id)).await?;
        let cached = self.classify(shared.map(|shared| Token {
            text: shared.token.into(),
            expires_at: shared.expires_at,
        }));
        if let CachedToken::Fresh(token) = &cached {
            self.lock_local().insert(app_id.clone(), token.clone());
        }
        Ok(cached)
    }

    /// Required delivery, because other callers wait for the token and would fetch another one.
    async fn share(&self, app_id: &AppId, token: &Token) -> Result<(), KvError> {
        let shared = SharedToken {
            token: token.text.expose_secret().to_owned(),
            expires_at: token.expires_at,
        };
        let ttl = time_left(token, self.clock.now());
        self.shared
            .put(&key(app_id), &shared, ttl, Delivery::Required)
            .await
    }

    fn classify(&self, token: Option<Token>) -> CachedToken {
        let Some(token) = token else {
            return CachedToken::Missing;
        };
        match time_left(&token, self.clock.now()) {
            left if left > RENEWAL => CachedToken::Fresh(token),
            left if left > MARGIN => CachedToken::Ending(token),
            _ => CachedToken::Missing,
        }
    }

    async fn try_lock(&self, app_id: &AppId) -> Result<Option<Lock>, KvError> {
        let lock = Lock {
            key: format!("{}:lock", key(app_id)),
            holder: self.random.bytes(),
        };
        let record = Record {
            key: &lock.key,
            value: &lock.holder,
            ttl: self.lock_ttl,
        };
        let is_ours = self.kv.add(record, Delivery::BestEffort).await?;
        Ok(is_ours.then_some(lock))
    }

    fn lock_local(&self) -> MutexGuard<'_, HashMap<AppId, Token>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(app_id: &AppId) -> String {
    format!("{{wx:{app_id}}}:access_token")
}

fn time_left(token: &Token, now: Timestamp) -> Duration {
    token
        .expires_at
        .duration_since(now)
        .try_into()
        .unwrap_or_default()
}
