//! A value that is made anew at most once a second.

use std::{sync::Arc, time::Duration};

use shared::clock::{Clock, Moment};
use tokio::sync::Mutex;

/// How long a value is good for.
const LIFETIME: Duration = Duration::from_secs(1);

/// The last value and when its making began. Cheap to clone.
pub struct Recent<T> {
    clock: Clock,
    /// Locked while a value is made, so that whoever asks meanwhile waits for it.
    last: Arc<Mutex<Option<Made<T>>>>,
}

struct Made<T> {
    at: Moment,
    value: Arc<T>,
}

impl<T> Clone for Recent<T> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            last: Arc::clone(&self.last),
        }
    }
}

impl<T> Recent<T> {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            last: Arc::default(),
        }
    }

    /// The last value, or what `make` returns when there is none from the last second. A request
    /// that ends while it makes the value leaves that to the next one.
    pub async fn get<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> Arc<T> {
        let mut last = self.last.lock().await;
        let now = Moment::now(&self.clock);
        if let Some(made) = &*last
            && now.since(made.at) < LIFETIME
        {
            return Arc::clone(&made.value);
        }
        let value = Arc::new(make().await);
        *last = Some(Made {
            at: now,
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
}
