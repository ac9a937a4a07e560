//! Keys that this instance could not remove from the store.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use tokio::time::Instant;

/// How many keys are remembered.
const CAPACITY: usize = 1024;
/// How many are removed in one round trip.
const AT_ONCE: usize = 32;

/// The keys, each until nothing outdated can be stored under it. Shared by its clones.
///
/// Times are the monotonic clock's: it may stop during a freeze, which keeps a key for longer than
/// necessary, and it can't be set, which could make one forgotten too early.
#[derive(Clone)]
pub(super) struct OwedRemovals {
    owed: Arc<Mutex<Owed>>,
}

struct Owed {
    keys: LruCache<String, OwedRemoval>,
    /// Until then no key is believed, because too many of them had to be remembered.
    all_until: Option<Instant>,
    noted: u64,
    /// The longest time for which an outdated value can be stored.
    longest: Duration,
}

#[derive(Clone, Copy)]
struct OwedRemoval {
    /// Tells it from a later removal of the same key.
    number: u64,
    until: Instant,
}

/// A removal in progress. Owed when it is dropped before it was made: the request was cancelled.
pub(super) struct RemovalInProgress<'a> {
    owed: &'a OwedRemovals,
    key: &'a str,
    made: bool,
}

impl RemovalInProgress<'_> {
    pub(super) fn made(mut self) {
        self.made = true;
    }
}

impl Drop for RemovalInProgress<'_> {
    fn drop(&mut self) {
        if !self.made {
            self.owed.note(self.key);
        }
    }
}

/// A removal to be made now.
pub(super) struct DueRemoval {
    pub(super) key: String,
    number: u64,
}

impl OwedRemovals {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            owed: Arc::new(Mutex::new(Owed {
                keys: LruCache::unbounded(),
                all_until: None,
                noted: 0,
                longest,
            })),
        }
    }

    /// Remembers keys for at least this long.
    pub(super) fn at_least(&self, longest: Duration) {
        let mut owed = self.lock();
        owed.longest = owed.longest.max(longest);
    }

    /// Begins to remove a key.
    pub(super) fn begin<'a>(&'a self, key: &'a str) -> RemovalInProgress<'a> {
        RemovalInProgress {
            owed: self,
            key,
            made: false,
        }
    }

    /// Remembers a key that could not be removed.
    fn note(&self, key: &str) {
        let mut owed = self.lock();
        let until = Instant::now() + owed.longest;
        owed.noted += 1;
        let number = owed.noted;
        owed.keys.put(key.to_owned(), OwedRemoval { number, until });
        if owed.keys.len() > CAPACITY {
            owed.keys.pop_lru();
            // It can't end before the forgotten key does, because that one was noted earlier.
            owed.all_until = Some(until);
        }
    }

    /// The removals to make before a value is believed, the oldest first.
    pub(super) fn due(&self) -> Vec<DueRemoval> {
        let now = Instant::now();
        let mut owed = self.lock();
        while let Some((_, oldest)) = owed.keys.peek_lru()
            && oldest.until <= now
        {
            owed.keys.pop_lru();
        }
        let oldest = owed.keys.iter().rev().take(AT_ONCE);
        let due = |(key, removal): (&String, &OwedRemoval)| DueRemoval {
            key: key.clone(),
            number: removal.number,
        };
        oldest.map(due).collect()
    }

    /// The removal of this key, if it is owed.
    pub(super) fn of(&self, key: &str) -> Option<DueRemoval> {
        let number = self.lock().keys.peek(key)?.number;
        let key = key.to_owned();
        Some(DueRemoval { key, number })
    }

    /// This removal was made.
    pub(super) fn made(&self, removal: &DueRemoval) {
        let keys = &mut self.lock().keys;
        if keys
            .peek(&removal.key)
            .is_some_and(|owed| owed.number == removal.number)
        {
            keys.pop(&removal.key);
        }
    }

    /// Whether a value stored under `key` may be outdated.
    pub(super) fn distrusts(&self, key: &str) -> bool {
        let owed = self.lock();
        owed.keys.contains(key) || owed.all_until.is_some_and(|until| Instant::now() < until)
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(100);

    fn keys(owed: &OwedRemovals) -> Vec<String> {
        owed.due().into_iter().map(|due| due.key).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_distrusted_until_it_is_removed_or_nothing_outdated_can_be_left() {
        let owed = OwedRemovals::new(LONGEST);
        owed.note("a");
        owed.note("b");
        assert!(owed.distrusts("a") && !owed.distrusts("c"));
        let due = owed.due();
        owed.made(&due[0]);
        assert!(!owed.distrusts("a") && owed.distrusts("b"));
        tokio::time::advance(LONGEST).await;
        assert_eq!(keys(&owed), [] as [&str; 0]);
        assert!(!owed.distrusts("b"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_remembered_as_long_as_the_values_of_any_kind_live() {
        let owed = OwedRemovals::new(LONGEST);
        owed.clone().at_least(2 * LONGEST);
        owed.at_least(LONGEST);
        owed.note("a");
        tokio::time::advance(LONGEST + Duration::from_secs(99)).await;
        assert_eq!(keys(&owed), ["a"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(keys(&owed), [] as [&str; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removal_that_is_noted_again_in_the_meantime_is_still_owed() {
        let owed = OwedRemovals::new(LONGEST);
        owed.note("a");
        let due = owed.due();
        owed.note("a");
        owed.made(&due[0]);
        assert!(owed.distrusts("a"));
        owed.made(&owed.due()[0]);
        assert!(!owed.distrusts("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_removal_that_is_cancelled_is_owed() {
        let owed = OwedRemovals::new(LONGEST);
        owed.begin("made").made();
        drop(owed.begin("cancelled"));
        assert_eq!(keys(&owed), ["cancelled"]);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_keys_make_all_of_them_distrusted_for_a_while() {
        let owed = OwedRemovals::new(LONGEST);
        for number in 0..=CAPACITY {
            owed.note(&number.to_string());
        }
        assert!(owed.distrusts("0") && owed.distrusts("any"));
        assert_eq!(owed.due().len(), AT_ONCE);
        assert_eq!(owed.due()[0].key, "1", "the oldest first");
        tokio::time::advance(LONGEST).await;
        assert!(!owed.distrusts("0"));
    }
}
