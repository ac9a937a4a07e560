//! `DELETE /api/v1/users/{id}/sessions`

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp, capture,
};
use rstest::rstest;
use serde_json::json;

use super::{NOBODY, root_and_alice};
use crate::dynamodb_faults::{Fault, Front};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sessions_of_the_user_end_and_no_others(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let (second, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for tokens in [&alice, &second] {
        app.api.info(&tokens.access).await.ok(200);
    }
    let log = capture();
    let (id, before) = (
        alice.user_id(),
        app.api.user(&root.access, &alice.user_id()).await,
    );
    assert_eq!(before.ok(200)["sessions"], 2);
    let ended = app.api.end_sessions_of(&root.access, &id).await;
    assert_eq!(*ended.ok(200), json!({}));
    for tokens in [&alice, &second] {
        app.api
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
        app.api
            .refresh(&tokens.refresh)
            .await
            .fails(401, "session_revoked");
    }
    for tokens in [&bob, &root] {
        app.api.info(&tokens.access).await.ok(200);
    }
    assert_eq!(app.api.user(&root.access, &id).await.ok(200)["sessions"], 0);
    // Again: nothing is left to end.
    app.api.end_sessions_of(&root.access, &id).await.ok(200);
    // The user may log in again.
    app.log_in("alice").await;
    let audit = log
        .logs()
        .json_where("audit", &"user_sessions_ended".into());
    let lines = audit.iter().filter(|line| line["user_id"] == id);
    let by: Vec<_> = lines.map(|line| line["administrator_id"].clone()).collect();
    assert_eq!(by, [json!(root.user_id()), json!(root.user_id())]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_may_end_their_own(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, second) = (app.administrator("root").await, app.log_in("root").await);
    let (front, api) = Front::of(&app).await;
    // One that can't be ended: the caller's own stays, so that it can be tried again.
    let other = format!("SESSION#{}", second.session_id());
    front.breaks_only(&other, "UpdateItem", Fault::Fails);
    api.end_sessions_of(&root.access, &root.user_id())
        .await
        .fails(503, "unavailable");
    front.heal();
    api.end_sessions_of(&root.access, &root.user_id())
        .await
        .ok(200);
    for tokens in [&root, &second] {
        api.info(&tokens.access).await.fails(401, "session_revoked");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_or_malformed_id_is_not_found(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let upper = alice.user_id().to_uppercase();
    let session = alice.session_id();
    for id in [NOBODY, "x", "%00", "USER%23x", &upper, &session] {
        for answer in [
            app.api.end_sessions_of(&root.access, id).await,
            app.api.user(&root.access, id).await,
            app.api
                .change_user(&root.access, id, &json!({"version": 1, "gender": 1}))
                .await,
        ] {
            answer.fails(404, "not_found");
        }
    }
    app.api.info(&alice.access).await.ok(200);
}
