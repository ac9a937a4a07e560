//! What one receiver may hold of the instance that works on the queue. A batch takes as long as its
//! slowest message, so a receiver that is slow or silent is not called from the queue for a while: its
//! events are left to the schedule, which nobody else waits for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use shared::clock::Clock;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::sender::{Attempt, Failure};

/// Calls of a receiver at the same time.
const PERMITS: usize = 5;
/// How long a message waits for one of them.
const PERMIT_WAIT: Duration = Duration::from_secs(1);
/// How long a call from the queue may take. What takes longer is called again from the table, where it has
/// all of `WEBHOOK_TIMEOUT_MS`.
const QUICK: Duration = Duration::from_secs(2);
/// How long a receiver that is slow or silent is left to the schedule.
const COOLDOWN: Duration = Duration::from_mins(5);
/// The same at most, for one that asks for it (`Retry-After`).
const MAX_COOLDOWN: Duration = Duration::from_hours(11);

/// The bulkheads of all receivers.
pub struct Bulkheads {
    clock: Clock,
    receivers: Mutex<HashMap<String, Bulkhead>>,
}

struct Bulkhead {
    permits: Arc<Semaphore>,
    cooldown_until: Timestamp,
}

impl Default for Bulkhead {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(PERMITS)),
            cooldown_until: Timestamp::MIN,
        }
    }
}

impl Bulkheads {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            receivers: Mutex::default(),
        }
    }

    /// To be held while the receiver is called. None: it is left to the schedule.
    async fn acquire(&self, receiver: &str) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits(receiver)?;
        let Ok(permit) = timeout(PERMIT_WAIT, permits.acquire_owned()).await else {
            self.begin_cooldown(receiver, COOLDOWN);
            return None;
        };
        // It may have turned out to be slow meanwhile.
        self.permits(receiver)?;
        permit.ok()
    }

    /// Makes an attempt, and takes note of how it ended. None: the receiver is slow, and left to the
    /// schedule.
    pub async fn attempt(
        &self,
        receiver: &str,
        attempt: impl Future<Output = Attempt>,
    ) -> Option<Attempt> {
        let _permit = self.acquire(receiver).await?;
        let attempt = timeout(QUICK, attempt).await.ok();
        let cooldown = match &attempt {
            None => Some(COOLDOWN),
            Some(Attempt::Failed(failure)) => cooldown_after(failure),
            Some(Attempt::Delivered | Attempt::Gone) => None,
        };
        if let Some(cooldown) = cooldown {
            self.begin_cooldown(receiver, cooldown);
        }
        attempt
    }

    /// None during a cooldown.
    fn permits(&self, receiver: &str) -> Option<Arc<Semaphore>> {
        let mut receivers = self.lock();
        let bulkhead = receivers.entry(receiver.to_owned()).or_default();
        let is_cooling = self.clock.now() < bulkhead.cooldown_until;
        (!is_cooling).then(|| Arc::clone(&bulkhead.permits))
    }

    /// Of several the longest holds.
    fn begin_cooldown(&self, receiver: &str, duration: Duration) {
        let until = self.clock.now().checked_add(duration);
        let until = until.unwrap_or(Timestamp::MAX);
        let mut receivers = self.lock();
        let bulkhead = receivers.entry(receiver.to_owned()).or_default();
        bulkhead.cooldown_until = bulkhead.cooldown_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bulkhead>> {
        self.receivers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn cooldown_after(failure: &Failure) -> Option<Duration> {
    let asked = failure.retry_after.map(|asked| asked.min(MAX_COOLDOWN));
    asked.or_else(|| failure.is_unresponsive.then_some(COOLDOWN))
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    fn bulkheads() -> (Bulkheads, ManualClock) {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        (Bulkheads::new(Clock::Manual(clock.clone())), clock)
    }

    fn failed(retry_after: Option<Duration>, is_unresponsive: bool) -> Attempt {
        Attempt::Failed(Failure {
            reason: "status 503".into(),
            retry_after,
            is_unresponsive,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_has_five_calls_at_once_and_is_then_left_to_the_schedule() {
        let (bulkheads, clock) = bulkheads();
        let mut held = Vec::new();
        for _ in 0..PERMITS {
            held.push(bulkheads.acquire("a").await.unwrap());
        }
        assert!(bulkheads.acquire("a").await.is_none());
        assert!(bulkheads.acquire("b").await.is_some());
        held.clear();
        assert!(bulkheads.acquire("a").await.is_none(), "not in a cooldown");
        clock.advance_seconds(300);
        assert!(bulkheads.acquire("a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_pauses_the_longest_holds() {
        let (bulkheads, clock) = bulkheads();
        for minutes in [10, 1] {
            bulkheads.begin_cooldown("a", Duration::from_mins(minutes));
        }
        clock.advance_seconds(599);
        assert!(bulkheads.acquire("a").await.is_none());
        clock.advance_seconds(1);
        assert!(bulkheads.acquire("a").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_and_silent_receivers_are_left_to_the_schedule() {
        let quick = Duration::from_millis(10);
        for (attempt, takes, seconds) in [
            (Attempt::Delivered, quick, 0),
            (failed(None, false), quick, 0),
            (Attempt::Delivered, QUICK * 2, 300),
            (failed(None, true), quick, 300),
            (failed(Some(Duration::from_mins(1)), false), quick, 60),
        ] {
            let what = format!("{attempt:?} after {takes:?}");
            let (bulkheads, clock) = bulkheads();
            let call = async {
                tokio::time::sleep(takes).await;
                attempt
            };
            let outcome = bulkheads.attempt("a", call).await;
            assert_eq!(outcome.is_some(), takes < QUICK, "{what}");
            let is_called = bulkheads.acquire("a").await.is_some();
            assert_eq!(is_called, seconds == 0, "{what}");
            clock.advance_seconds(seconds);
            assert!(bulkheads.acquire("a").await.is_some(), "{what}");
        }
    }
}
