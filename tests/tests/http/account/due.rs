//! Deletions that wait are continued when they are due, by a process that looks for them.

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use gateway::{hand_over, resume_sagas, worker};
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, instance::Instance, random::Random};

const DAY: i64 = 24 * 60 * 60;

/// What the schedule does.
async fn resume_due_sagas(process: &Instance) -> Value {
    let event = json!({"task": "resume-sagas"});
    hand_over(&worker(process), &event).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_deletion_is_carried_out_once_it_is_due(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state)
        .set("DELETION_COOLING_DAYS", "1")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    app.api.delete_account(&tokens.access).await.ok(202);
    let clock = Clock::Manual(app.clock.clone());
    let server = Instance::new(app.env(), clock, Random::System);
    // Not even looked at, or each minute would cost something for each of them.
    app.clock.advance_seconds(DAY - 1);
    let nothing = json!({"ended": 0, "unfinished": 0, "failed": 0});
    assert_eq!(resume_due_sagas(&server).await, nothing);
    let [waits] = &resume_sagas(&server).await.unwrap()[..] else {
        panic!("not one");
    };
    assert!(waits.contains(": waits until "), "{waits}");
    assert!(app.rows().await.keys().any(|(_, sk)| sk == "PROFILE"));
    app.clock.advance_seconds(2);
    assert_eq!(resume_due_sagas(&server).await["ended"], 1);
    assert!(!app.rows().await.keys().any(|(_, sk)| sk == "PROFILE"));
    assert_eq!(resume_due_sagas(&server).await, nothing);
}
