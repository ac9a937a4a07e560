//! Logout, the list of sessions, and sessions when shared state is lost.

use std::collections::BTreeSet;

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_without_a_body_ends_this_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (tokens, other) = (app.log_in("alice").await, app.log_in("alice").await);
    let answer = app.api.logout(&tokens.access).await;
    assert_eq!(
        answer.body,
        json!({"code": 200, "message": "操作成功", "data": {}})
    );
    assert_ended(&app, &tokens).await;
    assert_active(&app, &other).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_with_an_empty_object_ends_this_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    logout_with_ends_this_session_only(state, json!({})).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_with_all_false_ends_this_session(#[values(InProcess, Redis)] state: SharedState) {
    logout_with_ends_this_session_only(state, json!({"all": false})).await;
}

async fn logout_with_ends_this_session_only(state: SharedState, body: Value) {
    let app = TestApp::start(state).await;
    let (tokens, other) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout_with(&tokens.access, &body).await.ok(200);
    assert_ended(&app, &tokens).await;
    assert_active(&app, &other).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_of_all_ends_only_the_users_sessions(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let bob = app.log_in("bob").await;
    let mut alice = Vec::new();
    for _ in 0..20 {
        let tokens = app.log_in("alice").await;
        assert_active(&app, &tokens).await;
        alice.push(tokens);
    }
    app.api
        .logout_with(&alice[7].access, &json!({"all": true}))
        .await
        .ok(200);
    for tokens in &alice {
        assert_ended(&app, tokens).await;
    }
    assert_active(&app, &bob).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_logout_finds_the_session_ended(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api.logout(&tokens.access).await.ok(200);
    let again = app.api.logout(&tokens.access).await;
    again.fails(401, "session_revoked");
    assert_eq!(
        again.header("www-authenticate"),
        Some(
            r#"Bearer realm="weapp", error="invalid_token", error_description="the session has ended""#
        )
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_has_active_sessions_newest_first_and_marks_the_current_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let login = app
        .api
        .request("POST", "/api/v1/user/login")
        .header("user-agent", "MicroMessenger/8.0");
    let first = Tokens::of(&login.json(&json!({"code": app.code("alice")})).send().await);
    app.clock.advance_seconds(60);
    let code = app.code_in(OTHER_APP_ID, "bob");
    Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    let second = app.log_in("alice").await;
    let session = |tokens: &Tokens, agent: Value, at: &str, current: bool| {
        json!({
            "id": tokens.session_id(), "appId": APP_ID, "userAgent": agent, "createdAt": at, "refreshedAt": at,
            "current": current,
        })
    };
    let expected = json!({"sessions": [
        session(&second, Value::Null, "2026-11-23T08:01:00.123Z", false),
        session(&first, json!("MicroMessenger/8.0"), "2026-11-23T08:00:00.123Z", true),
    ]});
    assert_eq!(app.api.sessions(&first.access).await.ok(200), &expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_shows_in_the_list(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(60);
    app.api.refresh(&tokens.refresh).await.ok(200);
    let list = app.api.sessions(&tokens.access).await;
    let session = &list.ok(200)["sessions"][0];
    assert_eq!(session["createdAt"], "2026-11-23T08:00:00.123Z");
    assert_eq!(session["refreshedAt"], "2026-11-23T08:01:00.123Z");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_and_expired_sessions_are_not_listed(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.log_in("alice").await;
    app.clock.advance_seconds(2_592_000);
    let (ended, current) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout(&ended.access).await.ok(200);
    assert_eq!(
        listed(&app, &current).await,
        BTreeSet::from([current.session_id()])
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_can_end_another_of_their_sessions(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (here, elsewhere) = (app.log_in("alice").await, app.log_in("alice").await);
    assert_active(&app, &elsewhere).await;
    app.api
        .end_session(&here.access, &elsewhere.session_id())
        .await
        .ok(200);
    assert_ended(&app, &elsewhere).await;
    assert_eq!(
        listed(&app, &here).await,
        BTreeSet::from([here.session_id()])
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_can_end_the_current_session_by_id(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.api
        .end_session(&tokens.access, &tokens.session_id())
        .await
        .ok(200);
    assert_ended(&app, &tokens).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_users_session_is_not_found(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    app.api
        .end_session(&alice.access, &bob.session_id())
        .await
        .fails(404, "not_found");
    assert_active(&app, &bob).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_session_id_is_not_found(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = app.rows().await;
    let shouted = tokens.session_id().to_uppercase();
    let long = "0".repeat(4000);
    let ids = [
        "0193c0de-0000-7000-8000-00000000abcd",
        "x",
        "%00",
        "%E6%98%8E",
        "PROFILE",
        "..%2Finfo",
        &shouted,
        &long,
    ];
    for id in ids {
        let answer = app.api.end_session(&tokens.access, id).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, Some("not_found")),
            "{id}"
        );
    }
    assert_eq!(app.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_survive_the_loss_of_shared_state(#[values(InProcess, Redis)] state: SharedState) {
    let mut app = TestApp::builder(state).own_redis().start().await;
    let tokens = app.log_in("alice").await;
    assert_active(&app, &tokens).await;
    app.lose_shared_state().await;
    assert_active(&app, &tokens).await;
    app.lose_shared_state().await;
    Tokens::of(&app.api.refresh(&tokens.refresh).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_stays_ended_when_shared_state_is_lost(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut app = TestApp::builder(state).own_redis().start().await;
    let tokens = app.log_in("alice").await;
    assert_active(&app, &tokens).await;
    app.api.logout(&tokens.access).await.ok(200);
    app.lose_shared_state().await;
    assert_ended(&app, &tokens).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_stays_ended_when_shared_state_is_lost_during_the_logout(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut app = TestApp::builder(state).own_redis().start().await;
    for round in 0..20 {
        let tokens = app.log_in(&format!("person {round}")).await;
        let api = app.api.clone();
        let reads = join_all((0..8).map(|_| api.info(&tokens.access)));
        let ((), _, logout) =
            futures_util::join!(app.lose_shared_state(), reads, api.logout(&tokens.access));
        logout.ok(200);
        assert_ended(&app, &tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_at_once_on_another_instance() {
    let app = TestApp::start(SharedState::Redis).await;
    let other = app.another_instance().await;
    let tokens = app.log_in("alice").await;
    other.info(&tokens.access).await.ok(200);
    app.api.logout(&tokens.access).await.ok(200);
    other
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    other
        .sessions(&tokens.access)
        .await
        .fails(401, "session_revoked");
    other
        .refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_ended_session_is_refused_at_once_on_another_instance() {
    let app = TestApp::builder(SharedState::InProcess)
        .deployed()
        .start()
        .await;
    let other = app.another_instance().await;
    let tokens = app.log_in("alice").await;
    other.info(&tokens.access).await.ok(200);
    app.api.logout(&tokens.access).await.ok(200);
    other
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_and_are_logged_as_degraded_while_redis_is_down() {
    capture();
    let mut app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .start()
        .await;
    let before = app.log_in("alice").await;
    let healthy = app.api.info(&before.access).await;
    assert_eq!(app.log_line(&healthy)["degraded"], false);
    app.redis().kill();
    for answer in everything(&app, &before).await {
        assert_eq!(app.log_line(&answer)["degraded"], true, "{answer:?}");
    }
    assert_ended(&app, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_while_redis_is_frozen() {
    let mut app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .set("REDIS_TIMEOUT_MS", "50")
        .start()
        .await;
    let before = app.log_in("alice").await;
    app.redis().pause();
    everything(&app, &before).await;
    app.redis().resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_idempotent_within_the_instance_when_redis_is_down() {
    let mut app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .start()
        .await;
    app.redis().kill();
    let code = app.code("alice");
    let answers = join_all((0..20).map(|_| app.api.login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!(
        (app.code2session_calls(), app.count("SESSION#").await),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_used_again_after_an_outage() {
    capture();
    let mut app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    app.redis().kill();
    app.api.info(&tokens.access).await.ok(200);
    app.redis().restart().await;
    let recovers =
        async { while app.log_line(&app.api.info(&tokens.access).await)["degraded"] == true {} };
    e2e::within_patience("the return to Redis", recovers).await;
    app.api.logout(&tokens.access).await.ok(200);
    assert_ended(&app, &tokens).await;
}

/// One request of each kind. Asserts that all succeed; ends the session of `tokens`.
async fn everything(app: &TestApp, tokens: &Tokens) -> Vec<Answer> {
    let api = &app.api;
    let login = api.login(&app.code("alice")).await;
    let new = Tokens::of(&login);
    let answers = vec![
        login,
        api.info(&tokens.access).await,
        api.change(&tokens.access, &json!({"nickname": "小明"}))
            .await,
        api.sessions(&tokens.access).await,
        api.refresh(&new.refresh).await,
        api.end_session(&tokens.access, &new.session_id()).await,
        api.logout(&tokens.access).await,
    ];
    for answer in &answers {
        answer.ok(200);
    }
    answers
}

async fn assert_active(app: &TestApp, tokens: &Tokens) {
    app.api.info(&tokens.access).await.ok(200);
}

async fn assert_ended(app: &TestApp, tokens: &Tokens) {
    app.api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
}

async fn listed(app: &TestApp, tokens: &Tokens) -> BTreeSet<String> {
    let list = app.api.sessions(&tokens.access).await;
    let sessions = list.ok(200)["sessions"].as_array().unwrap();
    sessions
        .iter()
        .map(|session| session["id"].as_str().unwrap().to_owned())
        .collect()
}
