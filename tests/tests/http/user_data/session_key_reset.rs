//! `POST /api/v1/user/session-key/reset`.

use e2e::{
    settings::APP_ID,
    world::SharedState::{self, InProcess, Redis},
};
use rstest::rstest;
use wechat_simulator::{DataKind, SessionKeyAction};

use super::{data, refuses, session_key, start};

const RESET: &str = "/wxa/resetusersessionkey";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_key_is_the_one_that_opens_from_then_on(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let (before, on_its_way) = (
        session_key(&world, "alice").await,
        data(&world, "alice", DataKind::UserInfo),
    );
    world.api.reset_session_key(&tokens.access).await.ok(200);
    assert_ne!(session_key(&world, "alice").await, before);
    for body in [data(&world, "alice", DataKind::UserInfo), on_its_way] {
        world.api.decrypt(&tokens.access, &body).await.ok(200);
    }
    // And once more: the new key proves itself.
    world.api.reset_session_key(&tokens.access).await.ok(200);
    assert_eq!(world.wechat.calls(RESET), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_wechat_replaced_can_not_be_reset(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    world
        .wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    world
        .api
        .reset_session_key(&tokens.access)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_fails_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let before = world.identity_row(APP_ID, "alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (45011, 429, "rate_limited"),
        (87007, 409, "session_key_stale"),
    ] {
        refuses(&world, RESET, errcode);
        world
            .api
            .reset_session_key(&tokens.access)
            .await
            .fails(status, reason);
    }
    assert_eq!(world.identity_row(APP_ID, "alice").await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_in_no_answer(#[values(InProcess, Redis)] state: SharedState) {
    let world = start(state).await;
    let tokens = world.log_in("alice").await;
    let before = session_key(&world, "alice").await;
    let answer = world.api.reset_session_key(&tokens.access).await;
    assert_eq!(*answer.ok(200), serde_json::json!({}));
    let after = session_key(&world, "alice").await;
    let text = format!("{:?} {}", answer.headers, answer.body);
    assert!(!text.contains(&before) && !text.contains(&after));
}
