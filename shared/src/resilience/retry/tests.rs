use std::cell::{Cell, RefCell};

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::request::deadline;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Failure {
    Transient,
    Final,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const POLICY: RetryPolicy = RetryPolicy {
    attempts: 4,
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_millis(150),
    always_per_second: 1,
};

fn retries(seed: u64) -> Retries {
    Retries::new("upstream", POLICY, Random::seeded(seed))
}

/// Calls something with these outcomes, each after `took`; returns the last outcome and the times
/// of the calls.
async fn run(
    retries: &Retries,
    outcomes: &[Result<u8, Failure>],
    took: Duration,
) -> (Result<u8, Failure>, Vec<Duration>) {
    let (start, calls) = (Instant::now(), RefCell::new(Vec::new()));
    let call = || {
        let number = calls.borrow().len();
        calls.borrow_mut().push(start.elapsed());
        async move {
            sleep(took).await;
            outcomes[number.min(outcomes.len() - 1)]
        }
    };
    let outcome = retries
        .idempotent(call, |failure| *failure == Failure::Transient)
        .await;
    (outcome, calls.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_retried() {
    let outcomes = [Err(Failure::Transient), Err(Failure::Transient), Ok(7)];
    let (outcome, calls) = run(&retries(1), &outcomes, MILLISECOND).await;
    assert_eq!((outcome, calls.len()), (Ok(7), 3));
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_is_not_retried() {
    let (outcome, calls) = run(&retries(1), &[Err(Failure::Final)], MILLISECOND).await;
    assert_eq!((outcome, calls.len()), (Err(Failure::Final), 1));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_limited() {
    let (outcome, calls) = run(&retries(1), &[Err(Failure::Transient)], MILLISECOND).await;
    assert_eq!((outcome, calls.len()), (Err(Failure::Transient), 4));
}

#[tokio::test(start_paused = true)]
async fn no_call_is_retried_past_the_requests_deadline() {
    let retries = retries(1);
    let end = Instant::now() + 2 * MILLISECOND;
    let (outcome, calls) = deadline::scope(
        Some(end),
        run(&retries, &[Err(Failure::Transient)], MILLISECOND),
    )
    .await;
    assert_eq!((outcome, calls.len()), (Err(Failure::Transient), 1));
    assert!(Instant::now() <= end);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_down_gets_hardly_more_calls_than_one_that_is_up() {
    let (retries, calls) = (retries(1), Cell::new(0));
    let call = || {
        calls.set(calls.get() + 1);
        std::future::ready(Err::<(), _>(Failure::Transient))
    };
    join_all((0..1000).map(|_| retries.idempotent(call, |_| true))).await;
    // A fifth of them, and one for each second of the window.
    assert_eq!(calls.get(), 1000 + 200 + 10);
}

proptest! {
    /// Whatever the outcomes and the deadline.
    #[test]
    fn attempts_pauses_and_the_deadline_are_respected(
        seed: u64,
        outcomes in proptest::collection::vec(
            prop_oneof![3 => Just(Err(Failure::Transient)), 1 => Just(Err(Failure::Final)), 1 => Just(Ok(7))], 1..8),
        left_ms in 0_u32..600,
        took_ms in 0_u32..100,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (retries, end) = (retries(seed), Instant::now() + left_ms * MILLISECOND);
            let work = run(&retries, &outcomes, took_ms * MILLISECOND);
            let start = Instant::now();
            let (outcome, calls) = deadline::scope(Some(end), work).await;
            prop_assert!(calls.len() <= 4);
            let expected = outcomes.iter().position(|outcome| *outcome != Err(Failure::Transient));
            prop_assert!(expected.is_none_or(|last| calls.len() <= last + 1), "called after the outcome was final");
            prop_assert_eq!(outcome, outcomes[calls.len().min(outcomes.len()) - 1]);
            for (number, pair) in calls.windows(2).enumerate() {
                let pause = pair[1].saturating_sub(pair[0] + took_ms * MILLISECOND);
                // Tokio's clock ticks in milliseconds.
                let ceiling = [100, 150, 150][number] * MILLISECOND + MILLISECOND;
                prop_assert!(pause <= ceiling, "{pause:?} > {ceiling:?}");
                prop_assert!(start + pair[1] <= end + MILLISECOND, "called after the end");
            }
            Ok(())
        })?;
    }
}
