//! What instances know of a user's living sessions, so that most logins need not read them all from
//! the table: how many are free, and which one has to end when none is.
//!
//! A login that reads them stores what it found. Each later login then takes a free session, or the place of
//! the one that was refreshed first: that one is ended on the condition that it was not refreshed
//! since. A logout removes what is known. After as many logins as a user may have sessions they are
//! read again, whatever is known.
//!
//! A login that reads may not see the session of another one at the same time. So what it found is
//! stored only if no other login came while it was reading.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::Session;
use crate::{
    ids::{SessionId, UserId},
    kv::{Applied, Delivery, Kv, Micros, Record, Script, Step, Write},
    telemetry::OrDegraded,
};

/// Its name in `degraded` log lines.
const WHAT: &str = "session limit";
/// Kept since the last login.
const TTL: Duration = Duration::from_hours(24);
/// How long a login that reads keeps others from storing what they find: longer than it takes.
const READING: Duration = Duration::from_secs(10);
/// What stands in place of the sessions while they are read: this, and the reader's session if there
/// is one reader.
const READER: u8 = b'r';
/// Milliseconds since the epoch have this many digits, until the year 2286.
const TIME_DIGITS: usize = 13;
/// A session as text: a blank, the id without hyphens, a colon, and its time.
const SESSION_LENGTH: usize = ID_LENGTH + TIME_DIGITS;
/// The part of it that names the session, with blank and colon.
const ID_LENGTH: usize = 1 + 32 + 1;

/// The same machine in Lua.
pub const LUA: &str = include_str!("known.lua");

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::timeless(LUA.to_owned()));

/// Opens a session of a user, as far as the user's sessions are known. Run twice (a reply was lost),
/// nothing is known now: the reply that was lost said which session has to end.
pub struct OpenSession {
    key: [String; 1],
    new: KnownSession,
    max: usize,
}

/// A session and when it was refreshed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSession {
    /// Its id.
    pub id: SessionId,
    /// In whole milliseconds, as rows have it.
    pub refreshed_at: Timestamp,
}

/// Where a new session finds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One was free.
    Free,
    /// This one has to end, unless it was refreshed since.
    Of(KnownSession),
    /// The user's sessions have to be read.
    Unknown,
}

fn key(user: UserId, max: usize) -> String {
    format!("{{u:{user}}}:sessions:{max}")
}

/// Forgets what is known of the user's sessions, because one of them has ended, or did not come about.
/// If that fails, a login may end another one than the one refreshed first.
pub(super) async fn forget(shared: Option<&Kv>, user: UserId, max: usize) {
    let Some(shared) = shared else { return };
    shared
        .delete(&key(user, max), Delivery::Required)
        .await
        .or_degraded(WHAT);
}

impl OpenSession {
    /// For a `new` session of `user`, who may have `max`. What is known under another maximum is
    /// not looked at.
    #[must_use]
    pub fn new(user: UserId, new: KnownSession, max: usize) -> Self {
        Self {
            key: [key(user, max)],
            new,
            max,
        }
    }

    /// What the reply says. Without a reply nothing is known.
    #[must_use]
    pub fn place(reply: Option<&[i64]>) -> Place {
        match reply {
            Some(&[1]) => Place::Free,
            Some([2, session @ ..]) => {
                KnownSession::from_numbers(session).map_or(Place::Unknown, Place::Of)
            }
            _ => Place::Unknown,
        }
    }

    /// Stores what was found, if this login was the only one that was reading: all living sessions
    /// with the new one, of which at most as many as are allowed.
    pub(super) async fn store(&self, shared: &Kv, living: Vec<KnownSession>) {
        let value = self.among(living);
        shared
            .replace(&reader(self.new), self.record(&value), Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }

    /// Stores that the new session is the only one, unless something is stored already.
    pub(super) async fn store_first(&self, shared: &Kv) {
        let value = self.among(vec![self.new]);
        shared
            .add(self.record(&value), Delivery::BestEffort)
            .await
            .or_degraded(WHAT);
    }

    /// What is known when these sessions are all.
    fn among(&self, living: Vec<KnownSession>) -> String {
        text(self.max, self.max.saturating_sub(living.len()), living)
    }

    fn record<'a>(&'a self, value: &'a str) -> Record<'a> {
        let [key] = &self.key;
        let value = value.as_bytes();
        Record {
            key,
            value,
            ttl: TTL,
        }
    }
}

fn reader(session: KnownSession) -> Vec<u8> {
    let id = session.id.0.simple().to_string();
    [&[READER], id.as_bytes()].concat()
}

impl From<&Session> for KnownSession {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id,
            refreshed_at: session.refreshed_at,
        }
    }
}

impl KnownSession {
    /// The id in four numbers of 32 bits, and the time.
    fn numbers(self) -> [i64; 5] {
        let id = self.id.0.as_u128().to_be_bytes();
        let (words, _) = id.as_chunks();
        let word = |at: usize| i64::from(u32::from_be_bytes(words[at]));
        let time = self.refreshed_at.as_millisecond();
        [word(0), word(1), word(2), word(3), time]
    }

    fn from_numbers(numbers: &[i64]) -> Option<Self> {
        let [words @ .., time] = numbers else {
            return None;
        };
        let words: [i64; 4] = words.try_into().ok()?;
        let id = words.into_iter().try_fold(0u128, |id, word| {
            Some(id << 32 | u128::from(u32::try_from(word).ok()?))
        });
        Some(Self {
            id: SessionId(Uuid::from_u128(id?)),
            refreshed_at: Timestamp::from_millisecond(*time).ok()?,
        })
    }

    /// As it is stored.
    fn text(self) -> String {
        let (id, time) = (self.id.0.simple(), self.refreshed_at.as_millisecond());
        format!(" {id}:{time:0TIME_DIGITS$}")
    }

    /// The session in this text.
    fn parse(text: &[u8]) -> Option<Self> {
        let (id, time) = text.strip_prefix(b" ")?.split_at_checked(32)?;
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let time = time.strip_prefix(b":")?;
        if !id.iter().all(is_hex) || !time.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = |digits| str::from_utf8(digits).ok();
        Some(Self {
            id: SessionId(Uuid::try_parse(number(id)?).ok()?),
            refreshed_at: Timestamp::from_millisecond(number(time)?.parse().ok()?).ok()?,
        })
    }
}

/// What is known, as text: after how many more logins the sessions are read again, how many are free,
/// and the sessions, the one refreshed first at the front.
fn text(left: usize, free: usize, mut sessions: Vec<KnownSession>) -> String {
    sessions.sort_by_key(|session| (session.refreshed_at, session.id.0));
    let mut text = format!("{left} {free}");
    for session in sessions {
        text += &session.text();
    }
    text
}

/// A number of one to three digits at the front, and what follows it.
fn number(text: &[u8]) -> Option<(usize, &[u8])> {
    let digits = text.iter().take(3).take_while(|byte| byte.is_ascii_digit());
    let (number, rest) = text.split_at(digits.count());
    let number = str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest))
}

/// One step: what is stored then, and the place of the new session. `None`: the sessions have to be
/// read.
fn opened(stored: &[u8], new: KnownSession) -> Option<(Vec<u8>, Place)> {
    if stored.first() == Some(&b'0') {
        return None;
    }
    let (left, rest) = number(stored)?;
    let (free, sessions) = number(rest.strip_prefix(b" ")?)?;
    let inserted = new.text();
    // It has a place already, whose reply was lost.
    let id = &inserted.as_bytes()[..ID_LENGTH];
    if sessions.windows(ID_LENGTH).any(|text| text == id) {
        return None;
    }
    let (free, sessions, place) = if free > 0 {
        (free - 1, sessions, Place::Free)
    } else {
        let (first, others) = sessions.split_at_checked(SESSION_LENGTH)?;
        (0, others, Place::Of(KnownSession::parse(first)?))
    };
    let (before, later) = sessions.split_at(sessions.len() - length_after(sessions, new));
    let mut text = format!("{} {free}", left - 1).into_bytes();
    text.extend_from_slice(before);
    text.extend_from_slice(inserted.as_bytes());
    text.extend_from_slice(later);
    Some((text, place))
}

/// How much of the text is after `new`, in the order in which surplus sessions end. A login that read
/// all sessions has the same order: of logins at the same time, one that ends a session by what is
/// known and one that ends them by what it read agree which is the first.
fn length_after(sessions: &[u8], new: KnownSession) -> usize {
    let order = |session: KnownSession| (session.refreshed_at.as_millisecond(), session.id.0);
    let is_after =
        |text: &&[u8]| KnownSession::parse(text).is_some_and(|session| order(session) > order(new));
    let from_the_end = sessions.rchunks_exact(SESSION_LENGTH);
    from_the_end.take_while(is_after).count() * SESSION_LENGTH
}

impl Step for OpenSession {
    fn script(&self) -> &'static Script {
        &SCRIPT
    }

    fn keys(&self) -> &[String] {
        &self.key
    }

    fn arguments(&self) -> Vec<i64> {
        let ttl = i64::try_from(TTL.as_millis()).unwrap_or(i64::MAX);
        [ttl].into_iter().chain(self.new.numbers()).collect()
    }

    fn apply(&self, _: Micros, values: &[Option<Bytes>]) -> Applied {
        let stored = values.first().and_then(Option::as_deref);
        let (write, reply) = match stored.and_then(|stored| opened(stored, self.new)) {
            None => {
                let is_being_read = stored.is_some_and(|stored| stored.first() == Some(&READER));
                let reader = if is_being_read {
                    vec![READER]
                } else {
                    reader(self.new)
                };
                (Write::Put(reader.into(), READING), vec![0])
            }
            Some((after, place)) => {
                let reply = match place {
                    Place::Of(session) => [2].into_iter().chain(session.numbers()).collect(),
                    Place::Free | Place::Unknown => vec![1],
                };
                (Write::Put(after.into(), TTL), reply)
            }
        };
        Applied {
            writes: vec![write],
            reply,
        }
    }
}
