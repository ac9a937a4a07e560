//! Logout, a user's own sessions, and what happens to them when shared state is lost.

use std::collections::BTreeSet;

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World, capture,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_without_a_body_ends_this_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let (tokens, other) = (world.log_in("alice").await, world.log_in("alice").await);
    let answer = world.api.logout(&tokens.access).await;
    assert_eq!(
        answer.body,
        json!({"code": 200, "message": "操作成功", "data": {}})
    );
    has_ended(&world, &tokens).await;
    lives(&world, &other).await;
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
async fn a_logout_that_says_not_all_ends_this_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    logout_with_ends_this_session_only(state, json!({"all": false})).await;
}

async fn logout_with_ends_this_session_only(state: SharedState, body: Value) {
    let world = World::start(state).await;
    let (tokens, other) = (world.log_in("alice").await, world.log_in("alice").await);
    world.api.logout_with(&tokens.access, &body).await.ok(200);
    has_ended(&world, &tokens).await;
    lives(&world, &other).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_of_all_ends_every_session_of_the_user_and_of_nobody_else(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let bob = world.log_in("bob").await;
    let mut alice = Vec::new();
    for _ in 0..20 {
        let tokens = world.log_in("alice").await;
        lives(&world, &tokens).await;
        alice.push(tokens);
    }
    world
        .api
        .logout_with(&alice[7].access, &json!({"all": true}))
        .await
        .ok(200);
    for tokens in &alice {
        has_ended(&world, tokens).await;
    }
    lives(&world, &bob).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_logout_finds_the_session_ended(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let tokens = world.log_in("alice").await;
    world.api.logout(&tokens.access).await.ok(200);
    let again = world.api.logout(&tokens.access).await;
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
async fn the_list_has_each_living_session_newest_first_and_marks_the_current_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let login = world
        .api
        .request("POST", "/api/v1/user/login")
        .header("user-agent", "MicroMessenger/8.0");
    let first = Tokens::of(
        &login
            .json(&json!({"code": world.code("alice")}))
            .send()
            .await,
    );
    world.clock.advance_seconds(60);
    let code = world.code_in(OTHER_APP_ID, "bob");
    Tokens::of(&world.api.login_in(OTHER_APP_ID, &code).await);
    let second = world.log_in("alice").await;
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
    assert_eq!(world.api.sessions(&first.access).await.ok(200), &expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_shows_in_the_list(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let tokens = world.log_in("alice").await;
    world.clock.advance_seconds(60);
    world.api.refresh(&tokens.refresh).await.ok(200);
    let list = world.api.sessions(&tokens.access).await;
    let session = &list.ok(200)["sessions"][0];
    assert_eq!(session["createdAt"], "2026-11-23T08:00:00.123Z");
    assert_eq!(session["refreshedAt"], "2026-11-23T08:01:00.123Z");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_and_expired_sessions_are_not_listed(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    world.log_in("alice").await;
    world.clock.advance_seconds(2_592_000);
    let (ended, current) = (world.log_in("alice").await, world.log_in("alice").await);
    world.api.logout(&ended.access).await.ok(200);
    assert_eq!(
        listed(&world, &current).await,
        BTreeSet::from([current.session_id()])
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_ends_another_own_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let (here, elsewhere) = (world.log_in("alice").await, world.log_in("alice").await);
    lives(&world, &elsewhere).await;
    world
        .api
        .end_session(&here.access, &elsewhere.session_id())
        .await
        .ok(200);
    has_ended(&world, &elsewhere).await;
    assert_eq!(
        listed(&world, &here).await,
        BTreeSet::from([here.session_id()])
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_ends_the_current_session_by_its_id(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let tokens = world.log_in("alice").await;
    world
        .api
        .end_session(&tokens.access, &tokens.session_id())
        .await
        .ok(200);
    has_ended(&world, &tokens).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_somebody_else_is_not_found(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    world
        .api
        .end_session(&alice.access, &bob.session_id())
        .await
        .fails(404, "not_found");
    lives(&world, &bob).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_of_no_session_is_not_found(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let tokens = world.log_in("alice").await;
    let before = world.rows().await;
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
        let answer = world.api.end_session(&tokens.access, id).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, Some("not_found")),
            "{id}"
        );
    }
    assert_eq!(world.rows().await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_logged_out_when_shared_state_is_lost(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut world = World::with(state).own_redis().start().await;
    let tokens = world.log_in("alice").await;
    lives(&world, &tokens).await;
    world.lose_shared_state().await;
    lives(&world, &tokens).await;
    world.lose_shared_state().await;
    Tokens::of(&world.api.refresh(&tokens.refresh).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ended_session_comes_back_when_shared_state_is_lost(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut world = World::with(state).own_redis().start().await;
    let tokens = world.log_in("alice").await;
    lives(&world, &tokens).await;
    world.api.logout(&tokens.access).await.ok(200);
    world.lose_shared_state().await;
    has_ended(&world, &tokens).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_ended_session_comes_back_when_shared_state_is_lost_at_that_moment(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let mut world = World::with(state).own_redis().start().await;
    for round in 0..20 {
        let tokens = world.log_in(&format!("person {round}")).await;
        let api = world.api.clone();
        let reads = join_all((0..8).map(|_| api.info(&tokens.access)));
        let ((), _, logout) =
            futures_util::join!(world.lose_shared_state(), reads, api.logout(&tokens.access));
        logout.ok(200);
        has_ended(&world, &tokens).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_at_once_on_another_instance() {
    let world = World::start(SharedState::Redis).await;
    let other = world.another_instance().await;
    let tokens = world.log_in("alice").await;
    other.info(&tokens.access).await.ok(200);
    world.api.logout(&tokens.access).await.ok(200);
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
    let world = World::with(SharedState::InProcess).deployed().start().await;
    let other = world.another_instance().await;
    let tokens = world.log_in("alice").await;
    other.info(&tokens.access).await.ok(200);
    world.api.logout(&tokens.access).await.ok(200);
    other
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_and_is_marked_degraded_when_redis_is_down() {
    capture();
    let mut world = World::with(SharedState::Redis).own_redis().start().await;
    let before = world.log_in("alice").await;
    let healthy = world.api.info(&before.access).await;
    assert_eq!(world.log_line(&healthy)["degraded"], false);
    world.redis().kill();
    for answer in everything(&world, &before).await {
        assert_eq!(world.log_line(&answer)["degraded"], true, "{answer:?}");
    }
    has_ended(&world, &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_while_redis_is_frozen() {
    let mut world = World::with(SharedState::Redis)
        .own_redis()
        .set("REDIS_TIMEOUT_MS", "50")
        .start()
        .await;
    let before = world.log_in("alice").await;
    world.redis().pause();
    everything(&world, &before).await;
    world.redis().resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_idempotent_within_the_instance_when_redis_is_down() {
    let mut world = World::with(SharedState::Redis).own_redis().start().await;
    world.redis().kill();
    let code = world.code("alice");
    let answers = join_all((0..20).map(|_| world.api.login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!((world.code_calls(), world.count("SESSION#").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_used_again_when_it_is_back() {
    capture();
    let mut world = World::with(SharedState::Redis).own_redis().start().await;
    let tokens = world.log_in("alice").await;
    world.redis().kill();
    world.api.info(&tokens.access).await.ok(200);
    world.redis().restart().await;
    let recovers = async {
        while world.log_line(&world.api.info(&tokens.access).await)["degraded"] == true {}
    };
    e2e::within_patience("the way back to Redis", recovers).await;
    world.api.logout(&tokens.access).await.ok(200);
    has_ended(&world, &tokens).await;
}

/// One request of each kind; all work, and the session of `tokens` has ended after them.
async fn everything(world: &World, tokens: &Tokens) -> Vec<Answer> {
    let api = &world.api;
    let login = api.login(&world.code("alice")).await;
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

async fn lives(world: &World, tokens: &Tokens) {
    world.api.info(&tokens.access).await.ok(200);
}

async fn has_ended(world: &World, tokens: &Tokens) {
    world
        .api
        .info(&tokens.access)
        .await
        .fails(401, "session_revoked");
    world
        .api
        .refresh(&tokens.refresh)
        .await
        .fails(401, "session_revoked");
}

async fn listed(world: &World, tokens: &Tokens) -> BTreeSet<String> {
    let list = world.api.sessions(&tokens.access).await;
    let sessions = list.ok(200)["sessions"].as_array().unwrap();
    sessions
        .iter()
        .map(|session| session["id"].as_str().unwrap().to_owned())
        .collect()
}
