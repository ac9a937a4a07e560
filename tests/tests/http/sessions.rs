//! Logout, the list of sessions, and sessions when shared state is lost.

use std::collections::BTreeSet;

use e2e::{
    dynamodb::TABLE,
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
use shared::clock::Clock;

use crate::dynamodb_faults::{Fault, Front};

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

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_beyond_the_limit_ends_the_session_refreshed_first(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "3")
        .start()
        .await;
    let other = app.another_instance().await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        app.clock.advance_seconds(1);
        let tokens = app.log_in("alice").await;
        // Both instances remember it.
        other.info(&tokens.access).await.ok(200);
        assert_active(&app, &tokens).await;
        sessions.push(tokens);
    }
    app.clock.advance_seconds(1);
    let first = Tokens::of(&app.api.refresh(&sessions[0].refresh).await);
    let bob = app.log_in("bob").await;
    let new = app.log_in("alice").await;
    let [ended, kept] = [&sessions[1], &sessions[2]];
    if state == Redis {
        other
            .info(&ended.access)
            .await
            .fails(401, "session_revoked");
    }
    app.api
        .info(&ended.access)
        .await
        .fails(401, "session_revoked");
    app.api
        .refresh(&ended.refresh)
        .await
        .fails(401, "refresh_invalid");
    let living = [&first, kept, &new].map(Tokens::session_id);
    assert_eq!(listed(&app, &new).await, BTreeSet::from(living));
    for tokens in [&first, kept, &new, &bob] {
        assert_active(&app, tokens).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_cannot_store_its_session_ends_no_other_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "2")
        .start()
        .await;
    let (front, api) = Front::of(&app).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        app.clock.advance_seconds(1);
        let answer = api.login(&app.code("alice")).await;
        sessions.push(Tokens::of(&answer));
    }
    front.breaks("PutItem", Fault::Fails, 3);
    api.login(&app.code("alice"))
        .await
        .fails(503, "unavailable");
    front.heal();
    for tokens in &sessions {
        assert_active(&app, tokens).await;
    }
    // The failed one counts for nothing: it is still the first one's turn.
    let new = Tokens::of(&api.login(&app.code("alice")).await);
    let living = [&sessions[1], &new].map(Tokens::session_id);
    assert_eq!(listed(&app, &new).await, BTreeSet::from(living));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_the_same_time_leave_as_many_sessions_as_are_allowed_after_the_next(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "5")
        .start()
        .await;
    app.log_in("alice").await;
    let codes: Vec<_> = (0..30).map(|_| app.code("alice")).collect();
    for answer in join_all(codes.iter().map(|code| app.api.login(code))).await {
        answer.ok(200);
    }
    let last = app.log_in("alice").await;
    assert_eq!(listed(&app, &last).await.len(), 5);
    assert_eq!(app.count("SESSION#").await, 5);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frequent_logins_and_logouts_leave_few_rows(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "2")
        .start()
        .await;
    let kept = app.log_in("alice").await;
    for _ in 0..20 {
        app.clock.advance_seconds(1);
        let tokens = app.log_in("alice").await;
        app.api.logout(&tokens.access).await.ok(200);
    }
    assert!(app.count("SESSION#").await <= 4);
    assert_active(&app, &kept).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_and_the_list_read_one_page_of_many_sessions(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut app = TestApp::builder(state)
        .own_redis()
        .proxied()
        .set("MAX_SESSIONS", "1")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    // From before there was a limit: 250 KB in all.
    let row = app.session_row(&tokens).await;
    for number in 0..250 {
        let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
        let id = format!("0193c0de-0000-7000-8000-{number:012}");
        let put = app.table.client().put_item().table_name(TABLE);
        let put = put
            .set_item(Some(row.clone()))
            .item("sk", text(format!("SESSION#{id}")))
            .item("id", text(id))
            .item("userAgent", text("x".repeat(1000)));
        put.send().await.unwrap();
    }
    app.proxies().dynamodb.take_traffic();
    let list = app.api.sessions(&tokens.access).await;
    assert_eq!(list.ok(200)["sessions"].as_array().unwrap().len(), 100);
    let queries = |app: &TestApp| {
        let commands = app.proxies().dynamodb.take_traffic().commands;
        commands.iter().filter(|name| *name == "Query").count()
    };
    assert_eq!(queries(&app), 1);
    // Where they are from, nothing was known of them.
    app.lose_shared_state().await;
    let mut last = tokens;
    // Each page may have the new session in it, or not.
    for left in [152..=153, 53..=55, 1..=1] {
        last = app.log_in("alice").await;
        assert_eq!(queries(&app), 1);
        assert!(left.contains(&app.count("SESSION#").await), "{left:?}");
    }
    assert_eq!(
        listed(&app, &last).await,
        BTreeSet::from([last.session_id()])
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_remembered_as_long_as_its_access_tokens(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (tokens, other) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout(&tokens.access).await.ok(200);
    let now = Clock::Manual(app.clock.clone()).now_seconds();
    let ttl = |row: &e2e::dynamodb::Item| row["ttl"].as_n().unwrap().parse::<i64>().unwrap();
    assert_eq!(ttl(&app.session_row(&tokens).await), now + 7200);
    // Ending it again does not prolong it.
    app.clock.advance_seconds(7199);
    app.api
        .end_session(&other.access, &tokens.session_id())
        .await
        .ok(200);
    assert_eq!(ttl(&app.session_row(&tokens).await), now + 7200);
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
    app.clock.advance_seconds(1);
    app.api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "refresh_invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_cannot_be_ended_keeps_no_other_one_open() {
    let app = TestApp::start(SharedState::Redis).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(app.log_in("alice").await);
    }
    let (front, api) = Front::of(&app).await;
    for tokens in &sessions {
        assert_active(&app, tokens).await;
    }
    let (stuck, own) = (&sessions[19], &sessions[7]);
    front.breaks_only(&stuck.session_id(), "UpdateItem", Fault::Fails);
    let all = json!({"all": true});
    api.logout_with(&own.access, &all)
        .await
        .fails(503, "unavailable");
    for tokens in sessions
        .iter()
        .filter(|tokens| ![stuck, own].contains(tokens))
    {
        assert_ended(&app, tokens).await;
    }
    front.heal();
    // The caller's own session is still there to try again.
    api.logout_with(&own.access, &all).await.ok(200);
    for tokens in [stuck, own] {
        assert_ended(&app, tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_of_all_reaches_the_cached_state_of_many_sessions() {
    let app = TestApp::builder(SharedState::Redis)
        .set("MAX_SESSIONS", "100")
        .start()
        .await;
    let other = app.another_instance().await;
    let mut sessions = Vec::new();
    for _ in 0..100 {
        let tokens = app.log_in("alice").await;
        other.info(&tokens.access).await.ok(200);
        sessions.push(tokens);
    }
    let all = json!({"all": true});
    app.api
        .logout_with(&sessions[50].access, &all)
        .await
        .ok(200);
    for tokens in &sessions {
        other
            .info(&tokens.access)
            .await
            .fails(401, "session_revoked");
    }
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

/// Both can hold something that revokes: neither is served after it expired, not even while DynamoDB
/// is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_session_and_a_cached_profile_are_never_served_stale() {
    for (session, profile) in [("60", "600"), ("600", "60")] {
        let app = TestApp::start(InProcess).await;
        let changes = [
            ("SESSION_CACHE_SECONDS", session),
            ("PROFILE_CACHE_SECONDS", profile),
        ];
        let (front, api) = Front::with(&app, &changes).await;
        let tokens = Tokens::of(&api.login(&app.code("alice")).await);
        api.info(&tokens.access).await.ok(200);
        front.breaks("GetItem", Fault::Fails, usize::MAX);
        app.clock.advance_seconds(50);
        api.info(&tokens.access).await.ok(200);
        app.clock.advance_seconds(11);
        let answer = api.info(&tokens.access).await;
        answer.fails(503, "unavailable");
    }
}
