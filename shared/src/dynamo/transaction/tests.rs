use std::cell::Cell;

use tokio::time::Instant;

use super::*;
use crate::{
    config::{DynamoSettings, Env},
    random::Random,
    request::deadline,
};

/// What a transaction's answer says of its writes.
fn cancelled(codes: &[Option<&str>]) -> Cancellation {
    let reasons: Vec<_> = codes
        .iter()
        .map(|code| {
            CancellationReason::builder()
                .set_code(code.map(str::to_owned))
                .build()
        })
        .collect();
    Cancellation::read(&reasons)
}

const NONE: Option<&str> = Some("None");
const CONDITION: Option<&str> = Some("ConditionalCheckFailed");
const CONFLICT: Option<&str> = Some("TransactionConflict");
const THROTTLED_WRITE: Option<&str> = Some("ThrottlingError");
const NO_CAPACITY: Option<&str> = Some("ProvisionedThroughputExceeded");
const TOO_LARGE: Option<&str> = Some("ItemCollectionSizeLimitExceeded");

#[test]
fn failed_conditions_are_named_by_their_positions() {
    assert_eq!(
        cancelled(&[NONE, CONDITION, NONE, CONDITION]),
        Cancellation::ConditionFailed(vec![1, 3])
    );
}

#[test]
fn a_failed_condition_counts_before_everything_else() {
    assert_eq!(
        cancelled(&[CONFLICT, THROTTLED_WRITE, CONDITION, TOO_LARGE]),
        Cancellation::ConditionFailed(vec![2])
    );
}

#[test]
fn a_conflict_counts_before_throttling() {
    assert_eq!(
        cancelled(&[THROTTLED_WRITE, CONFLICT, NONE]),
        Cancellation::Conflict
    );
}

#[test]
fn only_throttling_by_itself_is_worth_a_repetition() {
    assert_eq!(
        cancelled(&[None, THROTTLED_WRITE, NONE, NO_CAPACITY]),
        Cancellation::Throttled(
            "transaction cancelled: ThrottlingError, ProvisionedThroughputExceeded".into()
        )
    );
    assert_eq!(
        cancelled(&[THROTTLED_WRITE, TOO_LARGE]),
        Cancellation::Other(
            "transaction cancelled: ThrottlingError, ItemCollectionSizeLimitExceeded".into()
        )
    );
}

#[test]
fn a_cancellation_without_reasons_is_not_repeated() {
    for codes in [&[][..], &[NONE, None]] {
        assert!(matches!(cancelled(codes), Cancellation::Other(_)));
    }
}

/// A table that nothing is sent to.
fn table() -> Dynamo {
    let env = Env::new([
        ("AWS_REGION", "local"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
    ]);
    Dynamo::new(DynamoSettings::read(&env), Random::seeded(1))
}

/// Fails with `error` until the attempt number `last`; how it ended, and after how many attempts.
async fn race(error: fn() -> DynamoError, last: usize) -> (Result<usize, DynamoError>, usize) {
    let attempts = Cell::new(0);
    let attempt = || {
        attempts.set(attempts.get() + 1);
        let number = attempts.get();
        let outcome = if number < last {
            Err(error())
        } else {
            Ok(number)
        };
        std::future::ready(outcome)
    };
    let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
    let outcome = table().retry_conflicts(attempt, is_conflict).await;
    (outcome, attempts.get())
}

#[tokio::test(start_paused = true)]
async fn the_first_attempts_after_a_conflict_follow_within_a_fraction_of_a_second() {
    let start = Instant::now();
    assert!(matches!(
        race(|| DynamoError::Conflict, 6).await,
        (Ok(6), 6)
    ));
    let waited = start.elapsed();
    // 5 + 10 + 20 + 40 + 80 ms or half of it; tokio's clock rounds each up to a millisecond.
    assert!(waited >= Duration::from_millis(77), "{waited:?}");
    assert!(waited <= Duration::from_millis(160), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_for_five_seconds() {
    let start = Instant::now();
    let (outcome, attempts) = race(|| DynamoError::Conflict, usize::MAX).await;
    assert!(matches!(outcome, Err(DynamoError::Conflict)));
    assert!((20..=40).contains(&attempts), "{attempts}");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(4600), "{waited:?}");
    assert!(waited <= Duration::from_millis(5001), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_conflict_is_tried_again() {
    let (outcome, attempts) = race(|| DynamoError::Unavailable("later".into()), 2).await;
    assert!(matches!(outcome, Err(DynamoError::Unavailable(_))));
    assert_eq!(attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_not_tried_again_after_the_request_has_ended() {
    let end = Instant::now() + Duration::from_millis(20);
    let (outcome, attempts) = deadline::scope(Some(end), race(|| DynamoError::Conflict, 6)).await;
    assert!(matches!(outcome, Err(DynamoError::Conflict)));
    assert!((2..6).contains(&attempts), "{attempts}");
    assert!(Instant::now() <= end);
}
