//! Replay protection: a sealed body is accepted once.

use std::time::Duration;

use crate::{claims::FirstUses, clock::Clock, kv::Kv, random::Random};

/// Longer than any body stays valid: its maximum age plus the clock leeway.
const TTL: Duration = Duration::from_mins(10);

/// The bodies that were opened, by their digests. Not by `jti`: that is chosen by the client and
/// not encrypted, so anybody who saw one could use it up before its owner.
pub(super) struct Replays {
    names: FirstUses,
    random: Random,
}

impl Replays {
    pub(super) fn new(shared: Kv, clock: Clock, random: Random) -> Self {
        Self {
            names: FirstUses::new("replays of sealed bodies", shared, clock, TTL),
            random,
        }
    }

    /// Whether the body with this digest is opened for the first time: in all instances, or in this
    /// one while shared state is down.
    pub(super) async fn is_first(&self, digest: [u8; 32]) -> bool {
        let key = format!("{{jwe:{}}}", hex::encode(digest));
        // A random value, so that no later use of the same body matches it.
        self.names.admits(&key, &self.random.bytes::<16>()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        kv::{MemoryStore, RedisStore},
    };

    #[tokio::test]
    async fn a_body_is_accepted_once_across_instances() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let shared = Kv::Memory(MemoryStore::new(Clock::Manual(clock.clone())));
        let instance =
            || Replays::new(shared.clone(), Clock::Manual(clock.clone()), Random::System);
        let (one, other) = (instance(), instance());
        assert!(one.is_first([1; 32]).await && other.is_first([2; 32]).await);
        assert!(
            !one.is_first([1; 32]).await
                && !other.is_first([1; 32]).await
                && !one.is_first([2; 32]).await
        );
        clock.advance_seconds(super::super::claims::MAX_AGE + super::super::claims::LEEWAY);
        assert!(!one.is_first([1; 32]).await);
        clock.advance_seconds(600);
        assert!(one.is_first([1; 32]).await);
    }

    #[tokio::test]
    async fn without_shared_state_each_instance_detects_its_own_replays() {
        let nowhere =
            RedisStore::with_budget(&"redis://127.0.0.1:1".into(), Duration::from_millis(50));
        let replays = Replays::new(Kv::Redis(nowhere), Clock::System, Random::System);
        assert!(replays.is_first([1; 32]).await);
        assert!(!replays.is_first([1; 32]).await);
    }
}
