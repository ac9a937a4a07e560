//! The sessions that this instance has just seen alive.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use crate::{
    clock::{Clock, Moment},
    ids::SessionId,
};

/// The most sessions that are remembered; the least recently used one is evicted first.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("above zero");
/// How long a session is remembered after it was seen.
const TTL: Duration = Duration::from_secs(10);

/// Remembers which sessions were alive a moment ago. It decides only who is charged first, and in
/// which round trip, never who is admitted: a session is checked with each request.
pub(super) struct LivingSessions {
    clock: Clock,
    seen: Mutex<LruCache<SessionId, Moment>>,
}

impl LivingSessions {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            seen: Mutex::new(LruCache::sparse(CAPACITY)),
        }
    }

    /// Whether the session was alive within the last seconds.
    pub(super) fn contains(&self, session: SessionId) -> bool {
        let now = Moment::now(&self.clock);
        let mut seen = self.lock();
        let is_recent = seen
            .get(&session)
            .is_some_and(|then| now.since(*then) < TTL);
        if !is_recent {
            seen.pop(&session);
        }
        is_recent
    }

    /// The session has just been found alive.
    pub(super) fn remember(&self, session: SessionId) {
        self.lock().put(session, Moment::now(&self.clock));
    }

    /// The session has ended.
    pub(super) fn forget(&self, session: SessionId) {
        self.lock().pop(&session);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<SessionId, Moment>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_session_is_remembered_for_seconds_and_forgotten_at_once() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let living = LivingSessions::new(Clock::Manual(clock.clone()));
        let [one, other] = [1, 2].map(|number| SessionId(Uuid::from_u128(number)));
        living.remember(one);
        assert!(living.contains(one) && !living.contains(other));
        clock.advance_seconds(9);
        assert!(living.contains(one));
        clock.advance_seconds(1);
        assert!(!living.contains(one));
        living.remember(one);
        living.forget(one);
        assert!(!living.contains(one));
    }
}
