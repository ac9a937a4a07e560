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

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{WeChat, WeChatError, stable_token::Granted};
use crate::{
    clock::Clock,
    crypto::AtRest,
    deadline,
    ids::AppId,
    kv::{Kv, KvError, Record},
    random::Random,
    telemetry::{self, Scope},
};

/// WeChat has a successor ready this long before a token's end.
const RENEWAL: Duration = Duration::from_mins(5);
/// A token this close to its end could end on its way: it is not used any more.
const MARGIN: Duration = Duration::from_secs(10);
/// The pauses of a caller that waits for another one's fetch.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);
/// What reading and storing may take beside the call itself.
const LOCK_RESERVE: Duration = Duration::from_secs(1);

/// The tokens.
pub struct AccessTokens {
    own: Mutex<HashMap<AppId, Token>>,
    shared: Kv,
    at_rest: AtRest,
    clock: Clock,
    random: Random,
    /// How long a refresher holds its lock, and how long others wait for it.
    lock_life: Duration,
}

/// A token with its end. Shared clocks need not agree to the second: there are five minutes to
/// renew in, and WeChat's own word (42001) to fall back on.
#[derive(Debug, Clone)]
struct Token {
    text: SecretString,
    expires_at: Timestamp,
}

/// What Redis holds, once opened.
#[derive(Serialize, Deserialize)]
struct Stored {
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
    holder: Vec<u8>,
}

impl AccessTokens {
    /// Tokens shared in `shared`, encrypted there by `at_rest`. `call` is what one call to WeChat
    /// takes at the most.
    #[must_use]
    pub fn new(shared: Kv, at_rest: AtRest, clock: Clock, random: Random, call: Duration) -> Self {
        Self {
            own: Mutex::default(),
            shared,
            at_rest,
            clock,
            random,
            lock_life: call + LOCK_RESERVE,
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
                telemetry::degraded("access token", &error);
                match own {
                    Known::Fresh(token) | Known::Ending(token) => Ok(token.text),
                    Known::Nothing => self.fetch(wechat, app_id).await.map(|token| token.text),
                }
            }
        }
    }

    /// Forgets a token that WeChat holds for stale, here and in Redis, unless a newer one stands
    /// there.
    pub(super) async fn discard(&self, app_id: &AppId, stale: &SecretString) {
        let is_stale = |token: &Token| token.text.expose_secret() == stale.expose_secret();
        {
            let mut own = self.lock_own();
            if own.get(app_id).is_some_and(is_stale) {
                own.remove(app_id);
            }
        }
        let discarded = async {
            let key = key(app_id);
            let [sealed] = self.shared.get([&key]).await?;
            match sealed {
                Some(sealed)
                    if self
                        .open(app_id, &sealed)
                        .is_none_or(|token| is_stale(&token)) =>
                {
                    self.shared.remove(&key, &sealed).await.map(drop)
                }
                _ => Ok(()),
            }
        };
        warn(discarded.await);
    }

    /// Fails only while Redis does not answer.
    async fn get_shared(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
    ) -> Result<Result<SecretString, WeChatError>, KvError> {
        let give_up = Instant::now() + deadline::cap(self.lock_life);
        let mut pause = FIRST_LOOK;
        loop {
            let ending = match self.look(app_id).await? {
                Known::Fresh(token) => return Ok(Ok(token.text)),
                Known::Ending(token) => Some(token),
                Known::Nothing => None,
            };
            if let Some(lock) = self.take_lock(app_id).await? {
                let outcome = self.refresh(wechat, app_id, ending).await;
                warn(self.shared.remove(&lock.key, &lock.holder).await);
                return Ok(outcome);
            }
            // Somebody else is at it.
            if let Some(token) = ending {
                return Ok(Ok(token.text));
            }
            if Instant::now() >= give_up {
                return Ok(self.fetch(wechat, app_id).await.map(|token| token.text));
            }
            sleep(pause).await;
            Scope::renew_redis_budget();
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Fetches under the lock, unless another instance has between our look and our lock. While the
    /// old token is good, a fetch that fails harms nobody.
    async fn refresh(
        &self,
        wechat: &WeChat,
        app_id: &AppId,
        ending: Option<Token>,
    ) -> Result<SecretString, WeChatError> {
        if let Ok(Known::Fresh(token)) = self.look(app_id).await {
            return Ok(token.text);
        }
        match (self.fetch(wechat, app_id).await, ending) {
            (Ok(token), _) => {
                warn(self.share(app_id, &token).await);
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
        let Granted { token: text, life } = wechat.stable_token(app_id).await?;
        let token = Token {
            text,
            expires_at: self.clock.now() + life,
        };
        self.lock_own().insert(app_id.clone(), token.clone());
        Ok(token)
    }

    /// What Redis holds; kept here if it is fresh.
    async fn look(&self, app_id: &AppId) -> Result<Known, KvError> {
        let [sealed] = self.shared.get([&key(app_id)]).await?;
        let known = self.sort(sealed.and_then(|sealed| self.open(app_id, &sealed)));
        if let Known::Fresh(token) = &known {
            self.lock_own().insert(app_id.clone(), token.clone());
        }
        Ok(known)
    }

    async fn share(&self, app_id: &AppId, token: &Token) -> Result<(), KvError> {
        let life = left(token, self.clock.now());
        let stored = Stored {
            token: token.text.expose_secret().to_owned(),
            expires_at: token.expires_at,
        };
        let stored = SecretString::from(serde_json::to_string(&stored).unwrap_or_default());
        let key = key(app_id);
        let Some(sealed) = self.at_rest.seal(&stored, &key, &self.random) else {
            return Ok(());
        };
        self.shared
            .put(Record {
                key: &key,
                value: sealed.as_bytes(),
                life,
            })
            .await
    }

    /// A record that does not open (its key was retired, or it is not ours) counts as none.
    fn open(&self, app_id: &AppId, sealed: &Bytes) -> Option<Token> {
        let opened = self
            .at_rest
            .open(std::str::from_utf8(sealed).ok()?, &key(app_id))
            .ok()?;
        let Stored { token, expires_at } = serde_json::from_str(opened.expose_secret()).ok()?;
        Some(Token {
            text: token.into(),
            expires_at,
        })
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
            holder: self.random.bytes::<16>().to_vec(),
        };
        let record = Record {
            key: &lock.key,
            value: &lock.holder,
            life: self.lock_life,
        };
        Ok(self.shared.add(record).await?.then_some(lock))
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

fn warn(outcome: Result<impl Sized, KvError>) {
    if let Err(error) = outcome {
        telemetry::degraded("access token", &error);
    }
}
