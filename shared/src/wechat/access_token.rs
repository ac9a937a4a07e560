//! The access token of each mini-program: in this instance's memory, shared with the others through
//! Redis, and fetched by one of them at a time.
//!
//! WeChat renews a token five minutes before its end, and both are good then. So in a token's last
//! five minutes one caller fetches its successor while all others are served the old one. Without
//! Redis, and while Redis is down, each instance keeps its own: stable tokens are the same for all
//! who ask, so nothing breaks.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{WeChat, WeChatError, stable_token::Granted};
use crate::{
    claims::Poll,
    clock::Clock,
    encrypted_kv::EncryptedKv,
    ids::AppId,
    kv::{Delivery, Kv, KvError, Record},
    random::Random,
    request::deadline,
    telemetry::{self, OrDegraded},
};

/// WeChat has a successor ready this long before a token's end.
const RENEWAL: Duration = Duration::from_mins(5);
/// A token this close to its end could expire in transit: it is no longer used.
const MARGIN: Duration = Duration::from_secs(10);
/// How long reading and storing may take in addition to the call itself.
const LOCK_RESERVE: Duration = Duration::from_secs(1);

/// What the log calls trouble with shared tokens.
const WHAT: &str = "access token";

/// The access tokens. Keep one per instance.
pub struct WeChatAccessTokens {
    own: Mutex<HashMap<AppId, Token>>,
    shared: EncryptedKv,
    /// Holds the locks.
    kv: Kv,
    clock: Clock,
    random: Random,
    /// How long a lock lasts, and how long other callers wait for it.
    lock_ttl: Duration,
}

/// A token with its end. Clocks of instances need not agree to the second: there are five minutes
/// to renew in, and WeChat's own word (42001) to fall back on.
#[derive(Debug, Clone)]
struct Token {
    text: SecretString,
    expires_at: Timestamp,
}

/// A token as Redis holds it, once decrypted.
#[derive(Serialize, Deserialize)]
struct SharedToken {
    token: String,
    expires_at: Timestamp,
}

/// What is known before a call to WeChat.
enum Known {
    /// Good for a while.
    Fresh(Token),
    /// Good, in its last minutes.
    Ending(Token),
    Nothing,
}

/// The right to fetch.
struct Lock {
    key: String,
    holder: [u8; 16],
}

/// What [`WeChatAccessTokens`] needs.
pub struct AccessTokenParts {
    /// Where instances share tokens, encrypted.
    pub shared: EncryptedKv,
    /// The same store, for locks.
    pub kv: Kv,
    /// The time.
    pub clock: Clock,
    /// Names locks.
    pub random: Random,
    /// The longest that one call to WeChat takes.
    pub call_timeout: Duration,
}

impl WeChatAccessTokens {
    /// Tokens of `parts`.
    #[must_use]
    pub fn new(parts: AccessTokenParts) -> Self {
        Self {
            own: Mutex::default(),
            shared: parts.shared,
            kv: parts.kv,
            clock: parts.clock,
            random: parts.random,
            lock_ttl: parts.call_timeout + LOCK_RESERVE,
        }
    }

    /// A token that is good now.
    pub(super) async fn get(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<SecretString, WeChatError> {
        let own = self.sort(self.lock_own().get(app_id).cloned());
        if let Known::Fresh(token) = own {
            return Ok(token.text);
        }
        match self.get_shared(wechat, app_id).await {
            Ok(token) => token,
            Err(error) => {
                telemetry::degraded(WHAT, &error);
                match own {
                    Known::Fresh(token) | Known::Ending(token) => Ok(token.text),
                    Known::Nothing => self.fetch(wechat, app_id).await.map(|token| token.text),
                }
            }
        }
    }

    /// Forgets a token that WeChat considers stale, here and in Redis, unless a newer one stands
    /// there.
    pub(super) async fn discard(&self, app_id: &AppId, stale: &SecretString) {
        let is_stale = |text: &str| text == stale.expose_secret();
        {
            let mut own = self.lock_own();
            if own
                .get(app_id)
                .is_some_and(|own| is_stale(own.text.expose_secret()))
            {
                own.remove(app_id);
            }
        }
        let key = key(app_id);
        let discarded = self
            .shared
            .remove_if(&key, |shared: &SharedToken| is_stale(&shared.token));
        discarded.await.or_degraded(WHAT);
    }

    /// Fails only while Redis does not answer.
    async fn get_shared(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<Result<SecretString, WeChatError>, KvError> {
        let give_up = Instant::now() + deadline::cap(self.lock_ttl);
        let mut poll = Poll::until(give_up);
        loop {
            if let Some(token) = self.try_shared(wechat, app_id).await? {
                return Ok(token);
            }
            if !poll.wait().await {
                return Ok(self.fetch(wechat, app_id).await.map(|token| token.text));
            }
        }
    }

    /// The shared token, or a new one if nobody else is fetching it; `None` where there is nothing
    /// but another caller's lock.
    async fn try_shared(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<Option<Result<SecretString, WeChatError>>, KvError> {
        let ending = match self.look_up(app_id).await? {
            Known::Fresh(token) => return Ok(Some(Ok(token.text))),
            Known::Ending(token) => Some(token),
            Known::Nothing => None,
        };
        if let Some(lock) = self.take_lock(app_id).await? {
            let outcome = self.refresh(wechat, app_id, ending).await;
            let returned = self
                .kv
                .remove(&lock.key, &lock.holder, Delivery::Required)
                .await;
            returned.or_degraded(WHAT);
            return Ok(Some(outcome));
        }
        Ok(ending.map(|token| Ok(token.text)))
    }

    /// Fetches under the lock, unless another instance has between our look-up and our lock. While
    /// the old token is good, a failed fetch does no harm.
    async fn refresh(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
        ending: Option<Token>,
    ) -> Result<SecretString, WeChatError> {
        if let Ok(Known::Fresh(token)) = self.look_up(app_id).await {
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
        self.lock_own().insert(app_id.clone(), token.clone());
        Ok(token)
    }

    /// What Redis holds; kept here if it is fresh.
    async fn look_up(&self, app_id: &AppId) -> Result<Known, KvError> {
        let shared: Option<SharedToken> = self.shared.get(&key(app_id)).await?;
        let known = self.sort(shared.map(|shared| Token {
            text: shared.token.into(),
            expires_at: shared.expires_at,
        }));
        if let Known::Fresh(token) = &known {
            self.lock_own().insert(app_id.clone(), token.clone());
        }
        Ok(known)
    }

    /// Other callers wait for it, and would fetch one more without it.
    async fn share(&self, app_id: &AppId, token: &Token) -> Result<(), KvError> {
        let shared = SharedToken {
            token: token.text.expose_secret().to_owned(),
            expires_at: token.expires_at,
        };
        let ttl = left(token, self.clock.now());
        self.shared
            .put(&key(app_id), &shared, ttl, Delivery::Required)
            .await
    }

    fn sort(&self, token: Option<Token>) -> Known {
        let Some(token) = token else {
            return Known::Nothing;
        };
        match left(&token, self.clock.now()) {
            left if left > RENEWAL => Known::Fresh(token),
            left if left > MARGIN => Known::Ending(token),
            _ => Known::Nothing,
        }
    }

    async fn take_lock(&self, app_id: &AppId) -> Result<Option<Lock>, KvError> {
        let lock = Lock {
            key: format!("{}:lock", key(app_id)),
            holder: self.random.bytes(),
        };
        let record = Record {
            key: &lock.key,
            value: &lock.holder,
            ttl: self.lock_ttl,
        };
        Ok(self.kv.add(record).await?.then_some(lock))
    }

    fn lock_own(&self) -> MutexGuard<'_, HashMap<AppId, Token>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(app_id: &AppId) -> String {
    format!("{{wx:{app_id}}}:access_token")
}

fn left(token: &Token, now: Timestamp) -> Duration {
    token
        .expires_at
        .duration_since(now)
        .try_into()
        .unwrap_or_default()
}
