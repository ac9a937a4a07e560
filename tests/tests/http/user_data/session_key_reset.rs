//! `POST /api/v1/user/session-key/reset`.

use e2e::{
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;
use wechat_simulator::{DataKind, SessionKeyAction};

use super::{data, session_key, set_errcode};

const RESET: &str = "/wxa/resetusersessionkey";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_opens_with_the_reset_key(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let (before, on_its_way) = (
        session_key(&app, "alice").await,
        data(&app, "alice", DataKind::UserInfo),
    );
    app.api.reset_session_key(&tokens.access).await.ok(200);
    assert_ne!(session_key(&app, "alice").await, before);
    for body in [data(&app, "alice", DataKind::UserInfo), on_its_way] {
        app.api.decrypt(&tokens.access, &body).await.ok(200);
    }
    // Once more: the new key is accepted.
    app.api.reset_session_key(&tokens.access).await.ok(200);
    assert_eq!(app.wechat.calls(RESET), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_wechat_replaced_cannot_be_reset(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    app.api
        .reset_session_key(&tokens.access)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reset_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = app.identity_row(APP_ID, "alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (45011, 429, "rate_limited"),
        (87007, 409, "session_key_stale"),
    ] {
        set_errcode(&app, RESET, errcode);
        app.api
            .reset_session_key(&tokens.access)
            .await
            .fails(status, reason);
    }
    assert_eq!(app.identity_row(APP_ID, "alice").await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_contains_the_session_key(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = session_key(&app, "alice").await;
    let answer = app.api.reset_session_key(&tokens.access).await;
    assert_eq!(*answer.ok(200), serde_json::json!({}));
    let after = session_key(&app, "alice").await;
    let text = format!("{:?} {}", answer.headers, answer.body);
    assert!(!text.contains(&before) && !text.contains(&after));
}
