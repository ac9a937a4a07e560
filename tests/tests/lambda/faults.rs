//! An instance whose surroundings break, or that was frozen meanwhile.

use std::time::{Duration, Instant};

use e2e::{
    events::HttpApi,
    http::Answer,
    runtime_api::FunctionUnderTest,
    wire_proxy::{Fault, WireProxy},
    world::Tokens,
};
use serde_json::Value;

use crate::harness::{
    Stage, answer, info_event, log_line, login_event, logout_event, refresh_event, with_id,
};

/// The answer, and whether the request was served without a store.
async fn observed(function: &FunctionUnderTest, event: Value, request_id: &str) -> (Answer, bool) {
    let answer = answer(function, &with_id(event, request_id)).await;
    let line = log_line(function, request_id).await;
    (answer, line["degraded"].as_bool().unwrap())
}

/// A session from its beginning to its end, over the three functions that know it.
async fn a_session_lives_and_ends(stage: &Stage) {
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| stage.function(name));
    let first = stage.log_in(&login, "alice").await;
    answer(&user_info, &info_event(&first)).await.ok(200);
    let second = Tokens::of(&answer(&token, &refresh_event(&first.refresh)).await);
    answer(&user_info, &info_event(&second)).await.ok(200);
    answer(&token, &logout_event(&second)).await.ok(200);
    answer(&user_info, &info_event(&second))
        .await
        .fails(401, "session_revoked");
    answer(&token, &refresh_event(&second.refresh))
        .await
        .fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_redis_url_functions_do_their_work() {
    let mut stage = Stage::start().await;
    stage.settings = stage.settings.without("REDIS_URL");
    a_session_lives_and_ends(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_start_and_do_their_work_while_redis_is_absent() {
    let mut stage = Stage::start().await;
    stage.settings = stage.settings.redis("redis://127.0.0.1:1/");
    a_session_lives_and_ends(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_do_their_work_while_redis_is_down_and_say_so() {
    let mut stage = Stage::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| stage.function(name));
    let tokens = stage.log_in(&login, "alice").await;
    let (answer, degraded) = observed(&user_info, info_event(&tokens), "before").await;
    assert!(answer.status == 200 && !degraded, "{answer:?}");

    stage.redis.kill();
    for (function, event, id) in [
        (&user_info, info_event(&tokens), "info"),
        (&user_info, info_event(&tokens), "info-again"),
        (&login, login_event(&stage.code("alice")), "login"),
        (&token, logout_event(&tokens), "logout"),
    ] {
        let (answer, degraded) = observed(function, event, id).await;
        assert!(answer.status == 200 && degraded, "{id}: {answer:?}");
    }
    let (answer, _) = observed(&user_info, info_event(&tokens), "after-logout").await;
    answer.fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_used_again_when_it_is_back() {
    let mut stage = Stage::start().await;
    let user_info = stage.function("user-info");
    let tokens = stage.log_in(&stage.function("login"), "alice").await;
    stage.redis.kill();
    assert!(observed(&user_info, info_event(&tokens), "down").await.1);
    stage.redis.restart().await;
    let deadline = Instant::now() + Duration::from_secs(2);
    for id in 0.. {
        let (answer, degraded) =
            observed(&user_info, info_event(&tokens), &format!("back-{id}")).await;
        answer.ok(200);
        if !degraded {
            break;
        }
        assert!(Instant::now() < deadline, "used again within 2 s");
    }
}

/// The connection of init can die before the first event comes, and nobody tells: then it has to be
/// given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_connection_that_died_silently_before_its_first_use_is_replaced() {
    let mut stage = Stage::start().await;
    let wire = WireProxy::redis(stage.redis.port()).await;
    stage.settings = stage
        .settings
        .redis(&stage.redis.url_via(wire.port()))
        .with("REDIS_TIMEOUT_MS", "500");
    let health = stage.function("health");
    health.time_to_first_next().await;
    let deep = HttpApi::new("GET", "/health?deep=1").event();
    wire.set(Fault::BlackHole).await;
    assert_eq!(answer(&health, &deep).await.ok(200)["status"], "degraded");
    // What was swallowed stays lost: only a new connection is in step with the server.
    wire.heal().await;
    assert_eq!(answer(&health, &deep).await.ok(200)["status"], "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dynamodb_what_needs_it_is_unavailable_and_the_rest_is_not() {
    let stage = Stage::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| stage.function(name));
    let tokens = stage.log_in(&login, "alice").await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    stage.table_wire.set(Fault::Refuse).await;
    stage.table_wire.cut();

    answer(&user_info, &info_event(&tokens)).await.ok(200);
    stage.redis.flushall().await;
    for (function, event) in [
        (&user_info, info_event(&tokens)),
        (&token, refresh_event(&tokens.refresh)),
        (&login, login_event(&stage.code("alice"))),
    ] {
        let answer = answer(function, &event).await;
        answer.fails(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }

    stage.table_wire.heal().await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    answer(&token, &refresh_event(&tokens.refresh))
        .await
        .ok(200);
    answer(&login, &login_event(&stage.code("alice")))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_start_while_dynamodb_is_absent() {
    let stage = Stage::start().await;
    stage.table_wire.set(Fault::Refuse).await;
    let login = stage.function("login");
    answer(&login, &login_event(&stage.code("alice")))
        .await
        .fails(503, "unavailable");
    stage.table_wire.heal().await;
    answer(&login, &login_event(&stage.code("alice")))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_after_a_thaw_succeeds_on_connections_that_died_meanwhile() {
    let stage = Stage::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| stage.function(name));
    let mut tokens = stage.log_in(&login, "alice").await;
    for round in ["first", "second", "third"] {
        answer(&user_info, &info_event(&tokens)).await.ok(200);
        tokens = Tokens::of(&answer(&token, &refresh_event(&tokens.refresh)).await);
        let code = stage.code("alice");
        freeze_while_connections_die(&stage, &[&login, &token, &user_info]).await;

        let (refreshed, degraded) = observed(&token, refresh_event(&tokens.refresh), round).await;
        assert!(
            refreshed.status == 200 && !degraded,
            "{refreshed:?}\n{}",
            token.logs()
        );
        let (info, degraded) = observed(&user_info, info_event(&tokens), round).await;
        assert!(
            info.status == 200 && !degraded,
            "{info:?}\n{}",
            user_info.logs()
        );
        let (logged_in, degraded) = observed(&login, login_event(&code), round).await;
        assert!(
            logged_in.status == 200 && !degraded,
            "{logged_in:?}\n{}",
            login.logs()
        );
        tokens = Tokens::of(&logged_in);
    }
}

/// In the middle of a request, for longer than the servers keep silent connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_was_frozen_while_it_waited_for_redis_is_well_after_it() {
    let stage = Stage::start().await;
    let user_info = stage.function("user-info");
    let tokens = stage.log_in(&stage.function("login"), "alice").await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    stage
        .redis
        .command(&["CONFIG", "SET", "timeout", "1"])
        .await;

    stage.redis.pause();
    let event = with_id(info_event(&tokens), "frozen");
    let (frozen, ()) = tokio::join!(answer(&user_info, &event), async {
        // It has asked, and its 2 s have not passed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        user_info.process().pause();
        stage.table_wire.cut_and_wait().await;
        stage.wechat_wire.cut_and_wait().await;
        stage.redis.resume();
        tokio::time::sleep(Duration::from_secs(3)).await;
        user_info.process().resume();
    });
    frozen.ok(200);
    let (answer, degraded) = observed(&user_info, info_event(&tokens), "after").await;
    assert!(
        answer.status == 200 && !degraded,
        "{answer:?}\n{}",
        user_info.logs()
    );
}

/// Freezes the instances, ends all their connections, and thaws them.
async fn freeze_while_connections_die(stage: &Stage, instances: &[&FunctionUnderTest]) {
    for instance in instances {
        instance.process().pause();
    }
    let mut redis = stage.redis.connection().await;
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .arg("SKIPME")
        .arg("yes");
    let killed: usize = kill.query_async(&mut redis).await.unwrap();
    assert!(killed >= instances.len(), "{killed} connections");
    // Redis frees clients between two commands: now they are gone.
    redis::cmd("PING").exec_async(&mut redis).await.unwrap();
    stage.table_wire.cut_and_wait().await;
    stage.wechat_wire.cut_and_wait().await;
    for instance in instances {
        instance.process().resume();
    }
}
