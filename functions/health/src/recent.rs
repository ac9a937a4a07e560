//! A value that is made anew at most once a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use shared::clock::{Clock, Moment};
use tokio::sync::Mutex;

/// How long a value is good for.
const LIFETIME: Duration = Duration::from_secs(1);

/// The last value and when it was made. Cheap to clone.
pub struct Recent<T> {
    clock: Clock,
    /// Locked while a value is made, so that a caller that asks meanwhile waits for it.
    last: Arc<Mutex<Option<Made<T>>>>,
    /// How many values were made.
    count: Arc<AtomicU64>,
}

struct Made<T> {
    number: u64,
    ended: Moment,
    value: Arc<T>,
}

impl<T> Clone for Recent<T> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            last: Arc::clone(&self.last),
            count: Arc::clone(&self.count),
        }
    }
}

impl<T> Recent<T> {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            last: Arc::default(),
            count: Arc::default(),
        }
    }

    /// The last value, or what `make` returns when there is none from the last second. A caller that
    /// asks while a value is made gets that one, however long it takes. A request that ends while it makes
    /// the value leaves that to the next one.
    pub async fn get<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> Arc<T> {
        let made_before = self.count.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        if let Some(made) = &*last
            && (made.number > made_before || Moment::now(&self.clock).since(made.ended) < LIFETIME)
        {
            return Arc::clone(&made.value);
        }
        let value = Arc::new(make().await);
        *last = Some(Made {
            number: 1 + self.count.fetch_add(1, Ordering::Relaxed),
            ended: Moment::now(&self.clock),
            value: Arc::clone(&value),
        });
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use shared::clock::ManualClock;

    use super::*;

    #[tokio::test]
    async fn a_value_is_made_once_a_second_however_many_ask() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let recent = Recent::new(Clock::Manual(clock.clone()));
        let count = AtomicU32::new(0);
        let get = async || {
            let make = async || {
                tokio::task::yield_now().await;
                count.fetch_add(1, Ordering::Relaxed)
            };
            *recent.get(make).await
        };
        let (first, meanwhile) = futures_util::join!(get(), get());
        assert_eq!((first, meanwhile, get().await), (0, 0, 0));
        clock.advance_seconds(1);
        assert_eq!((get().await, get().await), (1, 1));
    }

    #[tokio::test]
    async fn a_caller_that_asks_while_a_value_is_made_gets_it_however_long_that_takes() {
        let clock = ManualClock::new("2026-11-23T08:00:00Z".parse().unwrap());
        let recent = Recent::new(Clock::Manual(clock.clone()));
        let slow = recent.get(async || {
            tokio::task::yield_now().await;
            clock.advance_seconds(4);
            "slow"
        });
        let meanwhile = recent.get(async || "another");
        let (slow, meanwhile) = futures_util::join!(slow, meanwhile);
        assert_eq!((*slow, *meanwhile), ("slow", "slow"));
    }
}
