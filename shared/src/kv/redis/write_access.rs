//! Whether a server accepts the commands that remove cached values: one that refuses them may hold
//! values that should have been removed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::command::{self, Command, CommandError, Outcome};
use crate::{
    clock::Clock,
    kv::{KvError, Record},
};

/// How long accepted probes prove that removals would be accepted. By the wall clock, which goes on
/// during a freeze; one that is set only makes the next round trip probe again.
const PROOF: SignedDuration = SignedDuration::from_secs(1);
/// A probe's value is removed at once; if that fails, it expires.
const PROBE_TTL: Duration = Duration::from_secs(1);
/// How a script's own error names a refusal that happened inside it.
const WRAPPED: [&str; 6] = [
    "ACL failure",
    "-OOM",
    "-NOREPLICAS",
    "-READONLY",
    "-MISCONF",
    "-NOPERM",
];

/// When the server last accepted the probes. Cheap to clone.
#[derive(Clone)]
pub(super) struct WriteAccess {
    clock: Clock,
    /// Each node of a cluster accepts or refuses by itself, so none proves anything of another.
    is_cluster: bool,
    proven: Arc<Mutex<Option<Timestamp>>>,
}

impl WriteAccess {
    pub(super) fn new(clock: Clock, is_cluster: bool) -> Self {
        Self {
            clock,
            is_cluster,
            proven: Arc::default(),
        }
    }

    /// The keys to probe in a round trip that reads `keys`: one on each server that is read from.
    pub(super) fn probe_keys(&self, keys: &[&str]) -> Vec<String> {
        // With the hash tag of the key, so that it is on the same node.
        let probe_key = |key: &&str| format!("{key}:w");
        if self.is_cluster {
            return keys.iter().map(probe_key).collect();
        }
        let proven = *self.lock();
        let now = self.clock.now();
        if proven.is_some_and(|then| now.duration_since(then).abs() < PROOF) {
            return Vec::new();
        }
        keys.first().map(probe_key).into_iter().collect()
    }

    /// The probes of a round trip were accepted.
    pub(super) fn prove(&self) {
        *self.lock() = Some(self.clock.now());
    }

    /// Learns from any commands: a refused write disproves.
    pub(super) fn learn(&self, commands: &[Command<'_>], outcomes: &[Outcome]) {
        let mut pairs = commands.iter().zip(outcomes);
        if pairs.any(|(command, outcome)| command.is_write && refusal_of(outcome).is_some()) {
            *self.lock() = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What removals do: overwriting and deleting.
pub(super) fn probes(key: &str) -> [Command<'_>; 2] {
    let put = Command::put(&Record {
        key,
        value: b"",
        ttl: PROBE_TTL,
    });
    [put, Command::delete(key)]
}

/// The first refusal among the outcomes of writes.
pub(super) fn refusal(outcomes: &[Outcome]) -> Option<KvError> {
    outcomes.iter().find_map(refusal_of).map(command::refused)
}

fn refusal_of(outcome: &Outcome) -> Option<&RedisError> {
    match outcome {
        Err(CommandError::Refused(error)) if refuses_writes(error) => Some(error),
        _ => None,
    }
}

/// Whether this error says that the server refuses writes, and not that one command met a value of
/// another type or a bug of its script.
fn refuses_writes(error: &RedisError) -> bool {
    let wraps = |detail: &str| WRAPPED.iter().any(|wrapped| detail.contains(wrapped));
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) => error.detail().is_some_and(wraps),
        _ => error.code() != Some("WRONGTYPE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn error(reply: &str) -> RedisError {
        let reply = redis::parse_redis_value(reply.as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    #[test]
    fn only_what_the_server_refuses_counts_as_a_refusal() {
        for refused in [
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            "-NOREPLICAS Not enough good replicas to write.\r\n",
            "-NOPERM User default has no permissions to run the 'del' command\r\n",
            "-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.\r\n",
            "-ERR ACL failure in script: User default has no permissions to run the 'set' command\r\n",
            "-ERR Error running script (call to f_0): @user_script:3: -OOM command not allowed\r\n",
        ] {
            assert!(refuses_writes(&error(refused)), "{refused}");
        }
        for other in [
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            "-ERR Error running script (call to f_0): @user_script:1: no number\r\n",
        ] {
            assert!(!refuses_writes(&error(other)), "{other}");
        }
    }

    #[test]
    fn accepted_probes_are_good_for_a_second_on_a_single_server() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let keys = ["{a}", "{b}"];
        let access = WriteAccess::new(Clock::Manual(clock.clone()), false);
        assert_eq!(access.probe_keys(&keys), ["{a}:w"]);
        access.prove();
        assert_eq!(access.probe_keys(&keys), [] as [&str; 0]);
        clock.advance_seconds(1);
        assert_eq!(access.probe_keys(&keys), ["{a}:w"]);
        let cluster = WriteAccess::new(Clock::Manual(clock), true);
        cluster.prove();
        assert_eq!(cluster.probe_keys(&keys), ["{a}:w", "{b}:w"]);
    }

    #[test]
    fn a_refused_write_ends_the_proof() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let access = WriteAccess::new(Clock::Manual(clock), false);
        access.prove();
        let refused = Err(CommandError::Refused(error("-OOM command not allowed\r\n")));
        access.learn(&[Command::delete("k")], &[refused]);
        assert_eq!(access.probe_keys(&["k"]), ["k:w"]);
    }
}
