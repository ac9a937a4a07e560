//! The time that a request has for Redis, all its questions together.

use std::time::Duration;

use tokio::time::Instant;

use crate::{deadline, kv::KvError, telemetry::Scope};

/// Less than this is not worth a question.
const LEAST: Duration = Duration::from_millis(1);

/// A question at work. What it takes is charged to the request, and ends when this is dropped.
pub(super) struct Question {
    deadline: Instant,
}

impl Question {
    /// Starts the clock. A request that has no time left for Redis, or none at all, asks no more;
    /// outside a request each question has all of `budget`.
    pub(super) fn start(budget: Duration) -> Result<Self, KvError> {
        let allowed = deadline::cap(budget.saturating_sub(Scope::redis_spent()));
        if allowed < LEAST {
            return Err(KvError("the request's time for Redis is used up".into()));
        }
        let deadline = Instant::now() + allowed;
        Scope::note(|scope| scope.redis.start(deadline));
        Ok(Self { deadline })
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        Scope::note(|scope| scope.redis.end());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const BUDGET: Duration = Duration::from_millis(50);

    async fn ask(length: u64) -> bool {
        let Ok(_question) = Question::start(BUDGET) else {
            return false;
        };
        advance(Duration::from_millis(length)).await;
        true
    }

    #[tokio::test(start_paused = true)]
    async fn the_questions_of_a_request_share_its_budget() {
        let request = async {
            assert!(ask(20).await);
            assert_eq!(
                Question::start(BUDGET).unwrap().deadline() - Instant::now(),
                Duration::from_millis(30)
            );
            assert!(ask(30).await);
            assert!(!ask(1).await);
        };
        let (scope, ()) = Scope::default().enter(request).await;
        assert_eq!(scope.redis.total(), BUDGET);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_at_the_same_time_are_charged_once() {
        let request = async {
            let first = Question::start(BUDGET).unwrap();
            advance(Duration::from_millis(10)).await;
            let second = Question::start(BUDGET).unwrap();
            assert_eq!(first.deadline(), second.deadline());
            advance(Duration::from_millis(10)).await;
            drop(first);
            advance(Duration::from_millis(10)).await;
            drop(second);
        };
        assert_eq!(
            Scope::default().enter(request).await.0.redis.total(),
            Duration::from_millis(30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_somebody_else_may_look_again_and_again() {
        let request = async {
            for _ in 0..3 {
                assert!(ask(50).await && !ask(1).await);
                Scope::renew_redis_budget();
            }
        };
        assert_eq!(
            Scope::default().enter(request).await.0.redis.total(),
            3 * BUDGET
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_question_outlasts_the_request() {
        let deadline = Instant::now() + Duration::from_millis(20);
        deadline::scope(Some(deadline), async {
            assert_eq!(Question::start(BUDGET).unwrap().deadline(), deadline);
            advance(Duration::from_millis(20)).await;
            assert!(Question::start(BUDGET).is_err());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_frozen_instance_slept_is_not_charged() {
        let (scope, _) = Scope::default().enter(ask(60_000)).await;
        assert_eq!(scope.redis.total(), BUDGET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_of_the_request_in_a_task_of_its_own_has_what_is_left_and_charges_the_request() {
        let request = async {
            ask(20).await;
            Scope::run_to_end(async {
                assert_eq!(Scope::redis_spent(), Duration::from_millis(20));
                ask(10).await;
            })
            .await
            .unwrap();
        };
        assert_eq!(
            Scope::default().enter(request).await.0.redis.total(),
            Duration::from_millis(30)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn outside_a_request_each_question_has_all_of_it() {
        assert!(ask(50).await && ask(50).await);
    }
}
