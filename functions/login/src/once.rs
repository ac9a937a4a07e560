//! A login happens once per (mini-program, code): `{login:sha256}` holds who is at it, then how it
//! ended.
//!
//! Pages retry `wx.login` with the code they have, and WeChat takes a code once. So the first
//! caller claims the code, and all others wait for its outcome, on whichever instance they arrive.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    api::Reason,
    clock::Clock,
    ids::{AppId, SessionId, UserId},
    kv::{Kv, KvError, MemoryStore, Record as Stored},
    random::Random,
    telemetry::{self, Scope},
};
use tokio::time::{Instant, sleep};

/// As long as WeChat keeps a code.
const LIFE: Duration = Duration::from_mins(5);
/// How long a second caller waits for the first one.
const WAIT: Duration = Duration::from_secs(5);
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// How far the login with a code has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// Somebody is at it; the text is unique to them.
    Pending(String),
    /// It opened a session.
    Opened(Opened),
    /// It failed, and the code can't be used again.
    Failed(Failure),
}

/// The session that a code opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub user: UserId,
    pub session: SessionId,
    pub is_new: bool,
}

/// Why a code can't be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    CodeInvalid,
    CodeUsed,
    UserBlocked,
    UserDisabled,
}

impl Failure {
    pub fn reason(self) -> Reason {
        match self {
            Self::CodeInvalid => Reason::CodeInvalid,
            Self::CodeUsed => Reason::CodeUsed,
            Self::UserBlocked => Reason::UserBlocked,
            Self::UserDisabled => Reason::UserDisabled,
        }
    }
}

/// Whose turn it is.
pub enum Turn {
    /// Ours: nobody else will send the code.
    Ours(Claim),
    /// Somebody else's, and this is how it ended; `Pending` when it did not end in time.
    Done(Record),
}

/// The right to send a code. Dropped without an end (its caller panicked), it counts as one that
/// was sent.
pub struct Claim {
    here: MemoryStore,
    shared: Kv,
    key: String,
    ended: bool,
}

impl Claim {
    /// Tells the others how it ended.
    pub async fn settle(mut self, record: &Record) {
        self.ended = true;
        let value = encode(record);
        let stored = Stored {
            key: &self.key,
            value: &value,
            life: LIFE,
        };
        self.here.put(&stored);
        warn(self.shared.put(stored).await);
    }

    /// Lets the next caller try the code.
    pub async fn release(mut self) {
        self.ended = true;
        // The shared one first: who waits at this instance looks there next.
        warn(self.shared.delete(&self.key).await);
        self.here.delete(&self.key);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.ended {
            let value = encode(&Record::Failed(Failure::CodeUsed));
            self.here.put(&Stored {
                key: &self.key,
                value: &value,
                life: LIFE,
            });
        }
    }
}

/// A claim among the requests of this instance, given back when its holder goes away.
struct Here<'a> {
    store: &'a MemoryStore,
    key: &'a str,
    keep: bool,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.store.delete(self.key);
        }
    }
}

/// The claims: of the requests of this instance, then of all instances.
pub struct Once {
    here: MemoryStore,
    shared: Kv,
    random: Random,
}

impl Once {
    pub fn new(shared: Kv, clock: Clock, random: Random) -> Self {
        Self {
            here: MemoryStore::new(clock),
            shared,
            random,
        }
    }

    /// Claims the code, or waits for whoever has.
    ///
    /// Of this instance's requests only one asks the others, so a code is sent once here even while
    /// shared state answers some requests and not others.
    pub async fn begin(&self, app_id: &AppId, code: &SecretString) -> Turn {
        let key = key(app_id, code);
        let pending = Record::Pending(hex::encode(self.random.bytes::<16>()));
        let give_up = Instant::now() + WAIT;
        let memory = Kv::Memory(self.here.clone());
        // Memory does not fail; and if it did, WeChat itself takes a code only once.
        if let Ok(Some(record)) = take_turn(&memory, &key, &pending, give_up).await {
            return Turn::Done(record);
        }
        let mut here = Here {
            store: &self.here,
            key: &key,
            keep: false,
        };
        match take_turn(&self.shared, &key, &pending, give_up).await {
            Ok(Some(record)) => {
                if !matches!(record, Record::Pending(_)) {
                    here.keep = true;
                    self.here.put(&Stored {
                        key: &key,
                        value: &encode(&record),
                        life: LIFE,
                    });
                }
                return Turn::Done(record);
            }
            Ok(None) => {}
            // Our claim may stand there all the same, its answer lost: so how it ends is told there
            // too.
            Err(error) => telemetry::degraded("login idempotency", &error),
        }
        here.keep = true;
        drop(here);
        Turn::Ours(Claim {
            here: self.here.clone(),
            shared: self.shared.clone(),
            key,
            ended: false,
        })
    }
}

/// Nothing when it is our turn; else how the turn of somebody else ended, or that it did not end in
/// time. Fails only while it is not known whether somebody else is at it.
async fn take_turn(
    kv: &Kv,
    key: &str,
    pending: &Record,
    give_up: Instant,
) -> Result<Option<Record>, KvError> {
    let value = encode(pending);
    let mut pause = FIRST_LOOK;
    let mut taken = false;
    loop {
        let looked = look(kv, key, &value).await;
        match looked {
            Ok(None) => return Ok(None),
            Ok(Some(Record::Pending(_))) => taken = true,
            Ok(Some(record)) => return Ok(Some(record)),
            Err(error) if !taken => return Err(error),
            // Somebody else was at it a moment ago: to send the code now would be to send it twice.
            Err(_) => {}
        }
        if Instant::now() >= give_up {
            return Ok(Some(pending.clone()));
        }
        sleep(pause).await;
        Scope::renew_redis_budget();
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// Claims the code if it is free (nothing is told then), else tells what stands there.
async fn look(kv: &Kv, key: &str, pending: &[u8]) -> Result<Option<Record>, KvError> {
    if kv
        .add(Stored {
            key,
            value: pending,
            life: LIFE,
        })
        .await?
    {
        return Ok(None);
    }
    // Somebody is at it, that much is known even if what stands there can't be read now.
    let value = kv.get([key]).await.ok().and_then(|[value]| value);
    // Nothing there any more: released in between, so the next look may claim it.
    let record = value.and_then(|value| serde_json::from_slice(&value).ok());
    Ok(Some(
        record.unwrap_or_else(|| Record::Pending(String::new())),
    ))
}

/// The code itself stands nowhere, only its hash.
fn key(app_id: &AppId, code: &SecretString) -> String {
    let hash = Sha256::new()
        .chain_update(app_id.as_str())
        .chain_update([0])
        .chain_update(code.expose_secret());
    format!("{{login:{}}}", hex::encode(hash.finalize()))
}

fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

fn warn(outcome: Result<(), KvError>) {
    if let Err(error) = outcome {
        telemetry::degraded("login idempotency", &error);
    }
}

#[cfg(test)]
mod tests;
