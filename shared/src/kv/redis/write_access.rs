//! Whether the server accepts writes: one that refuses them may hold values that should have been
//! removed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::command::{Command, CommandError, Outcome};
use crate::{
    clock::{Clock, Moment},
    kv::{KvError, Record},
};

/// How long an accepted write proves that others would be.
const PROOF: Duration = Duration::from_secs(1);

/// When the server last accepted a write. Cheap to clone.
#[derive(Clone)]
pub(super) struct WriteAccess {
    clock: Clock,
    accepted: Arc<Mutex<Option<Moment>>>,
}

impl WriteAccess {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            accepted: Arc::default(),
        }
    }

    /// Learns from the writes of a round trip.
    pub(super) fn learn(&self, commands: &[Command<'_>], outcomes: &[Outcome]) {
        let mut accepted = None;
        for (command, outcome) in commands.iter().zip(outcomes) {
            match outcome {
                Ok(_) if command.is_write => accepted = Some(Moment::now(&self.clock)),
                Err(CommandError::Refused(_)) if command.is_write => {
                    *self.lock() = None;
                    return;
                }
                _ => {}
            }
        }
        if accepted.is_some() {
            *self.lock() = accepted;
        }
    }

    /// Whether a write was accepted a moment ago, and none refused since.
    pub(super) fn is_proven(&self) -> bool {
        let accepted = *self.lock();
        accepted.is_some_and(|then| Moment::now(&self.clock).since(then) < PROOF)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Moment>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the write next to a read of `key` goes: to the same node, because the hash tag is the
/// same.
pub(super) fn probe_key(key: &str) -> String {
    format!("{key}:w")
}

/// A write that changes nothing that anybody reads.
pub(super) fn probe(key: &str) -> Command<'_> {
    Command::put(&Record {
        key,
        value: b"",
        ttl: PROOF,
    })
}

/// Why values are not believed, if a write of their round trip was refused.
pub(super) fn refusal(outcomes: &[Outcome]) -> Option<KvError> {
    outcomes.iter().find_map(|outcome| match outcome {
        Err(CommandError::Refused(error)) => Some(super::command::refused(error)),
        _ => None,
    })
}
