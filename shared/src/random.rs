//! Injected randomness: production asks the operating system, tests use a seed.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng, SeedableRng, TryRng, rngs::StdRng, rngs::SysRng};
use uuid::Uuid;

use crate::clock::Clock;

/// Where random bytes come from. Cheap to clone.
#[derive(Clone, Default)]
pub enum Random {
    /// The operating system's generator: this process keeps no state that a restored snapshot could
    /// repeat.
    #[default]
    System,
    /// A seeded generator, for tests and for ids that need not be unpredictable.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Random {
    /// A generator that returns the same bytes for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A generator for ids that need not be unpredictable, such as those of requests: it is seeded once
    /// from this one, so that they don't cost a system call each.
    #[must_use]
    pub fn for_public_ids(&self) -> Self {
        match self {
            Self::System => {
                let seeded = StdRng::from_seed(self.bytes());
                Self::Seeded(Arc::new(Mutex::new(seeded)))
            }
            Self::Seeded(_) => self.clone(),
        }
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system provides no randomness: there is no safe way to go on.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            #[expect(
                clippy::expect_used,
                reason = "no key, nonce or id may be generated without it"
            )]
            Self::System => SysRng
                .try_fill_bytes(&mut bytes)
                .expect("the system's random generator"),
            Self::Seeded(rng) => rng
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill_bytes(&mut bytes),
        }
        bytes
    }

    /// A UUIDv7 (RFC 9562 §5.7): sorts by creation time.
    #[must_use]
    pub fn uuid_v7(&self, clock: &Clock) -> Uuid {
        let milliseconds = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_bytes_and_the_system_does_not() {
        assert_eq!(
            Random::seeded(1).bytes::<16>(),
            Random::seeded(1).bytes::<16>()
        );
        assert_ne!(Random::System.bytes::<16>(), Random::System.bytes::<16>());
    }
}
