//! Keys that are bound to the first value that uses them.

use std::time::Duration;

use crate::{
    clock::Clock,
    kv::{Delivery, Kv, MemoryStore, Record},
    telemetry::OrDegraded,
};

/// The used keys, stored in this process first, then in shared state. Keep one per instance.
pub struct FirstUses {
    /// The name of these keys in `degraded` log lines.
    what: &'static str,
    local: MemoryStore,
    shared: Kv,
    ttl: Duration,
}

impl FirstUses {
    /// Keys that are kept for `ttl`; `what` is their name in `degraded` log lines.
    #[must_use]
    pub fn new(what: &'static str, shared: Kv, clock: Clock, ttl: Duration) -> Self {
        Self {
            what,
            local: MemoryStore::new(clock),
            shared,
            ttl,
        }
    }

    /// Binds `key` to `value`. `false` if it is bound to another value: in any instance, or in this
    /// one while shared state is down.
    pub async fn admits(&self, key: &str, value: &[u8]) -> bool {
        self.bind(key, value).await != Binding::Taken
    }

    /// Binds `key` to `value`, and tells how far that is known to hold.
    pub async fn bind(&self, key: &str, value: &[u8]) -> Binding {
        let ttl = self.ttl;
        let record = Record { key, value, ttl };
        if !self.local.add(&record) {
            return Binding::Taken;
        }
        let added = self.shared.add(record, Delivery::Required).await;
        match added.or_degraded(self.what) {
            Some(true) => Binding::Bound,
            Some(false) => Binding::Taken,
            None => Binding::InThisInstance,
        }
    }
}

/// The outcome of [`FirstUses::bind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The key is bound to this value, for all instances.
    Bound,
    /// The key is bound to this value here; shared state is down, so another instance may have bound
    /// it to another one.
    InThisInstance,
    /// The key is bound to another value.
    Taken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, kv::RedisStore};

    const TTL: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn a_key_is_bound_to_one_value_across_instances() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let manual = || Clock::Manual(clock.clone());
        let shared = Kv::Memory(MemoryStore::new(manual()));
        let instance = || FirstUses::new("names", shared.clone(), manual(), TTL);
        let (one, other) = (instance(), instance());
        assert!(one.admits("a", b"1").await && one.admits("a", b"1").await);
        assert!(other.admits("a", b"1").await);
        assert!(!one.admits("a", b"2").await && !other.admits("a", b"2").await);
        assert!(one.admits("b", b"2").await);
        clock.advance_seconds(601);
        assert!(other.admits("a", b"2").await);
    }

    #[tokio::test]
    async fn without_shared_state_each_instance_remembers_its_own_keys() {
        let nowhere = Kv::Redis(RedisStore::new(&"redis://127.0.0.1:1".into()));
        let names = FirstUses::new("names", nowhere, Clock::System, TTL);
        assert!(names.admits("a", b"1").await);
        assert!(!names.admits("a", b"2").await);
        assert_eq!(names.bind("a", b"1").await, Binding::InThisInstance);
    }
}
