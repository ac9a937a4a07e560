//! Who is an administrator.

use e2e::{
    http::Answer,
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
};
use rstest::rstest;
use serde_json::json;

use super::{NOBODY, person, root_and_alice};

/// Sends a valid request to each route, about the user `id`.
async fn every_route(app: &TestApp, api: &Api, token: &str, id: &str) -> Vec<Answer> {
    let change = json!({"version": 1, "gender": 1});
    vec![
        api.users(token, "").await,
        api.search_users(token, "13800138000").await,
        api.move_in(token, &person(app, "new")).await,
        api.user(token, id).await,
        api.change_user(token, id, &change).await,
        api.end_sessions_of(token, id).await,
        api.sagas(token).await,
        api.delete_users(token, &[id.to_owned()]).await,
        api.delete_user(token, id).await,
    ]
}

/// Asserts that every route refuses the caller, and that nothing is written.
async fn all_refuse(app: &TestApp, token: &str, id: &str, status: u16, reason: &str) {
    let before = app.rows().await;
    for answer in every_route(app, &app.api, token, id).await {
        answer.fails(status, reason);
    }
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_is_for_administrators(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let bob = app.log_in("bob").await;
    let id = bob.user_id();
    all_refuse(&app, &alice.access, &id, 403, "forbidden").await;
    // Not even about oneself.
    all_refuse(&app, &alice.access, &alice.user_id(), 403, "forbidden").await;
    all_refuse(&app, "x", &id, 401, "token_invalid").await;
    for answer in every_route(&app, &app.api, &root.access, &id).await {
        answer.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_challenge_says_that_the_scope_is_insufficient(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let alice = app.log_in("alice").await;
    let answer = app.api.users(&alice.access, "").await;
    answer.fails(403, "forbidden");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="weapp", error="insufficient_scope""#)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_was_taken_away_is_gone_with_the_next_request(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (first, bob) = (app.administrator("root").await, app.log_in("bob").await);
    // Now the token says `admin`, and the cached profile, too.
    app.evict_profile(&first.user_id()).await;
    let root = app.log_in("root").await;
    assert_eq!(root.claims()["role"], "admin");
    assert_eq!(app.api.info(&root.access).await.ok(200)["role"], "admin");
    app.api.users(&root.access, "").await.ok(200);
    app.set_role(&root.user_id(), "user").await;
    all_refuse(&app, &root.access, &bob.user_id(), 403, "forbidden").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_administrator_is_refused_at_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    // Cached as active, and still refused: the row decides.
    app.api.info(&root.access).await.ok(200);
    app.disable(&root.user_id()).await;
    all_refuse(&app, &root.access, &alice.user_id(), 403, "user_disabled").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admins_names_administrators_whatever_their_role_says(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let admins = format!("{NOBODY}, {}", alice.user_id());
    let api = app.another_instance_with(&[("ADMINS", &admins)]).await;
    for answer in every_route(&app, &api, &alice.access, &bob.user_id()).await {
        answer.ok(200);
    }
    let carol = app.log_in("carol").await;
    api.users(&carol.access, "").await.fails(403, "forbidden");
    // Another instance, without the setting.
    app.api
        .users(&alice.access, "")
        .await
        .fails(403, "forbidden");
    app.disable(&alice.user_id()).await;
    api.users(&alice.access, "")
        .await
        .fails(403, "user_disabled");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_without_a_session_or_a_row_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let ended = app.log_in("root").await;
    app.api.logout(&ended.access).await.ok(200);
    let id = alice.user_id();
    all_refuse(&app, &ended.access, &id, 401, "session_revoked").await;
    app.remove_row(&format!("USER#{}", root.user_id()), "PROFILE")
        .await;
    all_refuse(&app, &root.access, &id, 401, "session_revoked").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_have_the_rate_limit_of_users(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_USER", "60/min burst 5")
        .start()
        .await;
    let root = app.administrator("root").await;
    for _ in 0..5 {
        app.api.users(&root.access, "").await.ok(200);
    }
    let limited = app.api.users(&root.access, "").await;
    limited.fails(429, "rate_limited");
    assert!(limited.header("retry-after").is_some());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_makes_the_first_administrator(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let alice = app.log_in("alice").await;
    app.api.info(&alice.access).await.ok(200);
    app.api
        .users(&alice.access, "")
        .await
        .fails(403, "forbidden");
    let log = capture();
    let id = alice.user_id();
    local::make_administrator(app.env(), &id).await.unwrap();
    // At once, without another login.
    app.api.users(&alice.access, "").await.ok(200);
    if state == InProcess {
        // The command is another process.
        app.evict_profile(&id).await;
    }
    let user = app.api.info(&alice.access).await;
    assert_eq!(
        (&user.ok(200)["role"], &user.data()["version"]),
        (&json!("admin"), &json!(2))
    );
    // Once more: nothing happens.
    let before = app.rows().await;
    local::make_administrator(app.env(), &id).await.unwrap();
    assert!(app.rows().await == before);
    let audit = log.logs().json_where("audit", &"administrator_made".into());
    let audit: Vec<_> = audit.iter().filter(|line| line["user_id"] == id).collect();
    assert_eq!(audit.len(), 1);

    for nobody in [NOBODY, "", "alice", "USER#1"] {
        let error = local::make_administrator(app.env(), nobody).await;
        assert!(error.is_err(), "{nobody}");
    }
    assert!(app.rows().await == before);
}
