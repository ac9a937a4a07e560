use super::*;

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
