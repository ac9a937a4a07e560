//! A sealed body is for one request: seen again, it is refused.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    kv::{Kv, MemoryStore, Record},
    random::Random,
    telemetry,
};

/// Longer than any body stays usable: its greatest age and the leeway of clocks.
const LIFE: Duration = Duration::from_mins(10);

/// The names of the bodies that were opened.
pub(super) struct Replays {
    shared: Kv,
    /// What this instance opened itself. It is asked first, and alone when the shared state is out
    /// of reach.
    here: MemoryStore,
    random: Random,
}

impl Replays {
    pub(super) fn new(shared: Kv, clock: Clock, random: Random) -> Self {
        Self {
            shared,
            here: MemoryStore::new(clock),
            random,
        }
    }

    /// Whether nobody has seen this name, as far as this instance can know.
    pub(super) async fn is_first(&self, jti: &str) -> bool {
        // By its digest: a name is a stranger's text.
        let key = format!("{{jti:{}}}", hex::encode(Sha256::digest(jti)));
        let value: [u8; 16] = self.random.bytes();
        let record = Record {
            key: &key,
            value: &value,
            life: LIFE,
        };
        if !self.here.add(&record) {
            return false;
        }
        match self.shared.add(record).await {
            Ok(is_first) => is_first,
            Err(error) => {
                telemetry::degraded("replays of sealed bodies", &error);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, kv::RedisStore};

    #[tokio::test]
    async fn a_name_is_new_once_in_all_instances() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let shared = Kv::Memory(MemoryStore::new(Clock::Manual(clock.clone())));
        let instance =
            || Replays::new(shared.clone(), Clock::Manual(clock.clone()), Random::System);
        let (one, other) = (instance(), instance());
        assert!(one.is_first("a").await && other.is_first("b").await);
        assert!(!one.is_first("a").await && !other.is_first("a").await && !one.is_first("b").await);
        clock.advance_seconds(super::super::claims::MAX_AGE + super::super::claims::LEEWAY);
        assert!(!one.is_first("a").await);
        clock.advance_seconds(600);
        assert!(one.is_first("a").await);
    }

    #[tokio::test]
    async fn without_shared_state_an_instance_knows_its_own() {
        let nowhere =
            RedisStore::with_budget(&"redis://127.0.0.1:1".into(), Duration::from_millis(50));
        let replays = Replays::new(Kv::Redis(nowhere), Clock::System, Random::System);
        assert!(replays.is_first("a").await);
        assert!(!replays.is_first("a").await);
    }
}
