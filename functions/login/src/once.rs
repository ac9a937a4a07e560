//! A login happens once per (mini-program, code): `{login:sha256}` holds who is at it, then how it ended.
//!
//! Pages retry `wx.login` with the code they have, and WeChat takes a code once. So the first caller claims the code,
//! and all others wait for its outcome, on whichever instance they arrive.

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
    telemetry,
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
}

impl Failure {
    pub fn reason(self) -> Reason {
        match self {
            Self::CodeInvalid => Reason::CodeInvalid,
            Self::CodeUsed => Reason::CodeUsed,
            Self::UserBlocked => Reason::UserBlocked,
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

/// The right to send a code.
pub struct Claim {
    /// Where others look how it ended.
    stores: Vec<Kv>,
    key: String,
}

impl Claim {
    /// Tells the others how it ended.
    pub async fn settle(&self, record: &Record) {
        let value = encode(record);
        for kv in &self.stores {
            warn(kv.put(Stored { key: &self.key, value: &value, life: LIFE }).await);
        }
    }

    /// Lets the next caller try the code.
    pub async fn release(&self) {
        // The shared one first: who waits at this instance looks there next.
        for kv in self.stores.iter().rev() {
            warn(kv.delete(&self.key).await);
        }
    }
}

/// The claims: of the requests of this instance, then of all instances.
pub struct Once {
    here: Kv,
    shared: Kv,
    random: Random,
}

impl Once {
    pub fn new(shared: Kv, clock: Clock, random: Random) -> Self {
        Self { here: Kv::Memory(MemoryStore::new(clock)), shared, random }
    }

    /// Claims the code, or waits for whoever has.
    ///
    /// Of this instance's requests only one asks the others, so a code is sent once here even while shared state
    /// answers some requests and not others.
    pub async fn begin(&self, app_id: &AppId, code: &SecretString) -> Turn {
        let key = key(app_id, code);
        let pending = Record::Pending(hex::encode(self.random.bytes::<16>()));
        let here = Claim { stores: vec![self.here.clone()], key: key.clone() };
        // Memory does not fail; and if it did, WeChat itself takes a code only once.
        if let Ok(Some(record)) = take_turn(&self.here, &key, &pending).await {
            return Turn::Done(record);
        }
        match take_turn(&self.shared, &key, &pending).await {
            Ok(None) => Turn::Ours(Claim { stores: vec![self.here.clone(), self.shared.clone()], key }),
            Ok(Some(record)) => {
                match &record {
                    Record::Pending(_) => here.release().await,
                    ended => here.settle(ended).await,
                }
                Turn::Done(record)
            }
            Err(error) => {
                telemetry::degraded("login idempotency", &error);
                Turn::Ours(here)
            }
        }
    }
}

/// Nothing when it is our turn; else how the turn of somebody else ended, or that it did not end in time.
async fn take_turn(kv: &Kv, key: &str, pending: &Record) -> Result<Option<Record>, KvError> {
    let value = encode(pending);
    let give_up = Instant::now() + WAIT;
    let mut pause = FIRST_LOOK;
    loop {
        if kv.add(Stored { key, value: &value, life: LIFE }).await? {
            return Ok(None);
        }
        let [value] = kv.get([key]).await?;
        // Nothing there any more: released in between, so our turn may have come.
        let record = value.and_then(|value| serde_json::from_slice(&value).ok()).unwrap_or_else(|| pending.clone());
        if !matches!(record, Record::Pending(_)) || Instant::now() >= give_up {
            return Ok(Some(record));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// The code itself stands nowhere, only its hash.
fn key(app_id: &AppId, code: &SecretString) -> String {
    let hash = Sha256::new().chain_update(app_id.as_str()).chain_update([0]).chain_update(code.expose_secret());
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
