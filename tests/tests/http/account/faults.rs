//! DynamoDB throttles, fails or loses answers while a user agrees.

use e2e::test_app::SharedState::{self, InProcess, Redis};
use rstest::rstest;
use serde_json::json;

use super::start;
use crate::dynamodb_faults::{ALWAYS, Fault, Front};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_sent_again_is_one_agreement(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let (front, api) = Front::of(&app).await;
    for (person, fault, times) in [
        ("alice", Fault::Cancelled, 2),
        ("bob", Fault::Lost, 1),
        ("carol", Fault::Throttled, 2),
    ] {
        let tokens = app.log_in(person).await;
        front.breaks("TransactWriteItems", fault, times);
        let agreed = api.agree(&tokens.access, "privacy", 3).await;
        assert_eq!(agreed.ok(200)["consents"], json!({"privacy": 3}));
        assert_eq!(front.heal(), times + 1, "{fault:?}");
        let list = api.consents(&tokens.access).await;
        let history = list.ok(200)["history"].as_array().unwrap();
        assert_eq!(history.len(), 1, "{fault:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_takes_no_writes_is_unavailable_and_nothing_is_half_written(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    app.api.agree(&tokens.access, "terms", 2).await.ok(200);
    let before = app.rows().await;
    for fault in [Fault::Throttled, Fault::Fails, Fault::Cancelled] {
        front.breaks("TransactWriteItems", fault, ALWAYS);
        let agreed = api.agree(&tokens.access, "privacy", 3).await;
        agreed.fails(503, "unavailable");
        let withdrawn = api.withdraw(&tokens.access, "terms").await;
        withdrawn.fails(503, "unavailable");
        front.heal();
    }
    assert!(app.rows().await == before, "rows were written");
    let info = api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consents"], json!({"terms": 2}));
}

/// A 503 does not say that nothing happened: what happened is seen at once, and sending it again
/// keeps the time.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agreement_whose_answer_is_lost_is_seen_and_can_be_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    api.info(&tokens.access).await.ok(200);
    front.breaks("TransactWriteItems", Fault::Lost, ALWAYS);
    let lost = api.agree(&tokens.access, "privacy", 3).await;
    lost.fails(503, "unavailable");
    front.heal();
    let info = api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["consents"], json!({"privacy": 3}));
    app.clock.advance_seconds(9);
    let again = api.agree(&tokens.access, "privacy", 3).await;
    assert_eq!(
        again.ok(200)["consent"]["agreedAt"],
        "2026-11-23T08:00:00.123Z"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_fails_as_a_whole(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let (front, api) = Front::of(&app).await;
    let tokens = app.log_in("alice").await;
    api.info(&tokens.access).await.ok(200);
    for operation in ["Query", "GetItem"] {
        front.breaks(operation, Fault::Fails, ALWAYS);
        let failed = api.export(&tokens.access, None).await;
        failed.fails(503, "unavailable");
        assert_eq!(failed.header("content-disposition"), None);
        front.heal();
    }
    api.export(&tokens.access, None).await.ok(200);
}
