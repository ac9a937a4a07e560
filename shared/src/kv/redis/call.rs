//! The time that a request may wait for Redis.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    kv::{Delivery, KvError},
    request::{self, Charge, deadline},
};

/// Less time than this is not worth a round trip.
const LEAST: Duration = Duration::from_millis(1);

/// A call to Redis in progress, which ends when this is dropped.
pub(super) struct RedisCall {
    charge: Charge,
    deadline: Instant,
}

impl RedisCall {
    /// Starts a call. The best-effort calls of a request share `budget`; a required one has a full
    /// `budget` of its own. Neither outlasts the request's deadline. Outside a request, each call
    /// has a full `budget`.
    ///
    /// # Errors
    /// [`KvError`] when there is no time left.
    pub(super) fn start(budget: Duration, delivery: Delivery) -> Result<Self, KvError> {
        let now = Instant::now();
        let (charge, left) = match delivery {
            Delivery::BestEffort => (Charge::Request, budget.saturating_sub(spent(now))),
            Delivery::Required => (Charge::Nobody, budget),
        };
        let allowed = deadline::cap(left);
        if allowed < LEAST {
            return Err(KvError::Unavailable(
                "the request's Redis budget is used up".into(),
            ));
        }
        let deadline = now + allowed;
        request::note(|notes| notes.redis.start(charge, now, deadline));
        Ok(Self { charge, deadline })
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for RedisCall {
    fn drop(&mut self) {
        request::note(|notes| notes.redis.end(self.charge));
    }
}

/// How much of its Redis budget the current request has used; zero outside a request.
fn spent(now: Instant) -> Duration {
    request::with_notes(|notes| notes.redis.spent(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::request::{Context, Language};

    const BUDGET: Duration = Duration::from_millis(50);

    fn start(delivery: Delivery) -> Result<RedisCall, KvError> {
        RedisCall::start(BUDGET, delivery)
    }

    async fn call(length: u64) -> bool {
        let Ok(_call) = start(Delivery::BestEffort) else {
            return false;
        };
        advance(Duration::from_millis(length)).await;
        true
    }

    /// Runs `work` as a request; returns how long it waited for Redis.
    async fn waited<F: Future>(work: F) -> Duration {
        let context = Context::new(String::new(), Language::default());
        context.run(work).await;
        context.take_notes().redis.total()
    }

    #[tokio::test(start_paused = true)]
    async fn the_calls_of_a_request_share_its_budget() {
        let request = async {
            assert!(call(20).await);
            assert_eq!(
                start(Delivery::BestEffort).unwrap().deadline() - Instant::now(),
                Duration::from_millis(30)
            );
            assert!(call(30).await);
            assert!(!call(1).await);
        };
        assert_eq!(waited(request).await, BUDGET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_required_call_has_a_budget_of_its_own() {
        let request = async {
            assert!(call(50).await && !call(1).await);
            for _ in 0..2 {
                let required = start(Delivery::Required).unwrap();
                assert_eq!(required.deadline() - Instant::now(), BUDGET);
                advance(BUDGET).await;
            }
            let end = Instant::now() + Duration::from_millis(20);
            deadline::scope(Some(end), async {
                assert_eq!(start(Delivery::Required).unwrap().deadline(), end);
            })
            .await;
        };
        assert_eq!(waited(request).await, BUDGET * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_required_call_takes_nothing_from_the_others() {
        let request = async {
            let required = start(Delivery::Required).unwrap();
            advance(Duration::from_millis(30)).await;
            assert!(call(10).await);
            drop(required);
            let others = start(Delivery::BestEffort).unwrap();
            assert_eq!(
                others.deadline() - Instant::now(),
                Duration::from_millis(40)
            );
        };
        assert_eq!(waited(request).await, Duration::from_millis(40));
    }

    #[tokio::test(start_paused = true)]
    async fn simultaneous_calls_are_charged_once() {
        let request = async {
            let first = start(Delivery::BestEffort).unwrap();
            advance(Duration::from_millis(10)).await;
            let second = start(Delivery::BestEffort).unwrap();
            assert_eq!(first.deadline(), second.deadline());
            advance(Duration::from_millis(10)).await;
            drop(first);
            advance(Duration::from_millis(10)).await;
            drop(second);
        };
        assert_eq!(waited(request).await, Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_another_one_can_renew_its_budget() {
        let request = async {
            for _ in 0..3 {
                assert!(call(50).await && !call(1).await);
                request::renew_redis_budget();
            }
        };
        assert_eq!(waited(request).await, 3 * BUDGET);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_outlasts_the_request() {
        let end = Instant::now() + Duration::from_millis(20);
        deadline::scope(Some(end), async {
            assert_eq!(start(Delivery::BestEffort).unwrap().deadline(), end);
            advance(Duration::from_millis(20)).await;
            assert!(start(Delivery::BestEffort).is_err());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn time_during_a_freeze_is_not_charged() {
        assert_eq!(waited(call(60_000)).await, BUDGET);
    }

    #[tokio::test(start_paused = true)]
    async fn work_in_a_task_of_its_own_shares_the_requests_budget() {
        let request = async {
            call(20).await;
            request::run_to_end(async {
                assert_eq!(spent(Instant::now()), Duration::from_millis(20));
                call(10).await;
            })
            .await
            .unwrap();
        };
        assert_eq!(waited(request).await, Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn outside_a_request_each_call_has_a_full_budget() {
        assert!(call(50).await && call(50).await);
    }
}
