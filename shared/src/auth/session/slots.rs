//! How many sessions a user may still open before somebody has to count them.
//!
//! Counting reads all of a user's rows, which most logins need not do: whoever counts stores how
//! many sessions are free, and each login takes one. The number may be lower than the truth (a
//! session that ends gives nothing back), never higher.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;

use crate::{
    ids::UserId,
    kv::{Applied, Delivery, Kv, KvError, Micros, Record, Script, Step, Write, whole_number},
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "session limit";
/// Kept since the last login.
const TTL: Duration = Duration::from_hours(24);
/// The most digits of a number, which is below `MAX_SESSIONS`' highest value.
const DIGITS: usize = 3;
/// The number when all are taken.
const NONE: &[u8] = b"0";

/// The same machine in Lua.
pub const LUA: &str = include_str!("slots.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::timeless(LUA.to_owned()));

/// Takes one of a user's free sessions. Run twice (a reply was lost), it takes two, so that somebody
/// counts earlier than necessary.
pub struct TakeSlot {
    key: [String; 1],
}

impl TakeSlot {
    /// For a session of `user`, who may have `max`. Another maximum is another number.
    #[must_use]
    pub fn new(user: UserId, max: usize) -> Self {
        Self {
            key: [format!("{{u:{user}}}:free:{max}")],
        }
    }

    /// Whether the reply says that one was free. Without a reply, somebody has to count.
    #[must_use]
    pub fn was_free(reply: Option<&[i64]>) -> bool {
        reply == Some(&[1])
    }

    /// Stores how many are left after the sessions were counted. Whoever counted at the same time
    /// may not have seen this session: the first one stores its number, and the others take one of
    /// it.
    pub(super) async fn store(&self, kv: &Kv, free: usize) {
        let [key] = &self.key;
        let free = free.to_string();
        let value = free.as_bytes();
        let record = Record {
            key,
            value,
            ttl: TTL,
        };
        let stored = async {
            let stored = kv.replace(NONE, record, Delivery::BestEffort).await?
                || kv.add(record, Delivery::BestEffort).await?;
            if !stored {
                kv.step(self, Delivery::BestEffort).await?;
            }
            Ok::<_, KvError>(())
        };
        stored.await.or_degraded(WHAT);
    }
}

impl Step for TakeSlot {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn keys(&self) -> &[String] {
        &self.key
    }

    fn arguments(&self) -> Vec<i64> {
        vec![i64::try_from(TTL.as_millis()).unwrap_or(i64::MAX)]
    }

    fn apply(&self, _: Micros, values: &[Option<Bytes>]) -> Applied {
        let stored = values.first().and_then(Option::as_ref);
        let plain = stored.filter(|text| text.len() <= DIGITS && text.first() != Some(&b'0'));
        let (write, reply) = match plain.and_then(|text| whole_number(text)) {
            Some(free) => (Write::Put(Bytes::from((free - 1).to_string()), TTL), 1),
            None => (Write::Keep, 0),
        };
        Applied {
            writes: vec![write],
            reply: vec![reply],
        }
    }
}
