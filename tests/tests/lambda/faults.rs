//! Instances whose dependencies fail, and instances that were frozen.

use std::time::{Duration, Instant};

use e2e::{
    binaries,
    dynamodb::DynamoDb,
    events::HttpApi,
    http::Answer,
    runtime_api::FunctionUnderTest,
    settings::Settings,
    test_app::Tokens,
    wire_proxy::{Fault, WireProxy},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::harness::{
    LambdaHarness, answer, info_event, log_line, login_event, logout_event, refresh_event, with_id,
};

/// As long as an instance repeats the findings of a deep health check.
const PROBE_LIFETIME: Duration = Duration::from_secs(1);

/// The answer, and whether its request was logged as degraded.
async fn observed(function: &FunctionUnderTest, event: Value, request_id: &str) -> (Answer, bool) {
    let answer = answer(function, &with_id(event, request_id)).await;
    let line = log_line(function, request_id).await;
    (answer, line["degraded"].as_bool().unwrap())
}

/// A session from its beginning to its end, over the three functions that know it.
async fn a_session_lives_and_ends(harness: &LambdaHarness) {
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| harness.function(name));
    let first = harness.log_in(&login, "alice").await;
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
async fn functions_work_without_a_redis_url() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.without("REDIS_URL");
    a_session_lives_and_ends(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_start_and_work_while_redis_is_absent() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.redis("redis://127.0.0.1:1/");
    a_session_lives_and_ends(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_work_and_log_degraded_while_redis_is_down() {
    let mut harness = LambdaHarness::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| harness.function(name));
    let tokens = harness.log_in(&login, "alice").await;
    let (answer, degraded) = observed(&user_info, info_event(&tokens), "before").await;
    assert!(answer.status == 200 && !degraded, "{answer:?}");

    harness.redis.kill();
    for (function, event, id) in [
        (&user_info, info_event(&tokens), "info"),
        (&user_info, info_event(&tokens), "info-again"),
        (&login, login_event(&harness.code("alice")), "login"),
        (&token, logout_event(&tokens), "logout"),
    ] {
        let (answer, degraded) = observed(function, event, id).await;
        assert!(answer.status == 200 && degraded, "{id}: {answer:?}");
    }
    let (answer, _) = observed(&user_info, info_event(&tokens), "after-logout").await;
    answer.fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_used_again_after_an_outage() {
    let mut harness = LambdaHarness::start().await;
    let user_info = harness.function("user-info");
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    harness.redis.kill();
    assert!(observed(&user_info, info_event(&tokens), "down").await.1);
    harness.redis.restart().await;
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

/// The connection from init can be lost before the first event without any notice; it must then be
/// abandoned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silently_lost_redis_connection_is_replaced() {
    let mut harness = LambdaHarness::start().await;
    let wire = WireProxy::redis(harness.redis.port()).await;
    harness.settings = harness
        .settings
        .redis(&harness.redis.url_via(wire.port()))
        .with("REDIS_TIMEOUT_MS", "500");
    let health = harness.function("health");
    health.time_to_first_next().await;
    let deep = HttpApi::new("GET", "/health?deep=1").event();
    wire.set(Fault::BlackHole).await;
    assert_eq!(answer(&health, &deep).await.ok(200)["status"], "degraded");
    // The swallowed bytes are lost: only a new connection is in sync with the server.
    wire.heal().await;
    sleep(PROBE_LIFETIME).await;
    assert_eq!(answer(&health, &deep).await.ok(200)["status"], "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dynamodb_only_requests_that_need_it_fail() {
    let harness = LambdaHarness::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| harness.function(name));
    let tokens = harness.log_in(&login, "alice").await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut();

    answer(&user_info, &info_event(&tokens)).await.ok(200);
    harness.redis.flushall().await;
    for (function, event) in [
        (&user_info, info_event(&tokens)),
        (&token, refresh_event(&tokens.refresh)),
        (&login, login_event(&harness.code("alice"))),
    ] {
        let answer = answer(function, &event).await;
        answer.fails(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }

    harness.dynamodb_proxy.heal().await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    answer(&token, &refresh_event(&tokens.refresh))
        .await
        .ok(200);
    answer(&login, &login_event(&harness.code("alice")))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_start_while_dynamodb_is_absent() {
    let harness = LambdaHarness::start().await;
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    let login = harness.function("login");
    answer(&login, &login_event(&harness.code("alice")))
        .await
        .fails(503, "unavailable");
    harness.dynamodb_proxy.heal().await;
    answer(&login, &login_event(&harness.code("alice")))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_after_a_thaw_survives_lost_connections() {
    let harness = LambdaHarness::start().await;
    let [login, token, user_info] =
        ["login", "token", "user-info"].map(|name| harness.function(name));
    let mut tokens = harness.log_in(&login, "alice").await;
    for round in ["first", "second", "third"] {
        answer(&user_info, &info_event(&tokens)).await.ok(200);
        tokens = Tokens::of(&answer(&token, &refresh_event(&tokens.refresh)).await);
        let code = harness.code("alice");
        freeze_while_connections_die(&harness, &[&login, &token, &user_info]).await;

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

/// `REQUEST_TIMEOUT_MS` would allow 8 s, and the operation ends after 4 s with a 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_is_answered_before_lambda_times_out() {
    let table = DynamoDb::start().await;
    let proxy = WireProxy::http(table.port()).await;
    let settings = Settings::new(&proxy.http_url(), "http://127.0.0.1:9");
    let health = FunctionUnderTest::spawn(binaries::path("health"), settings.variables());
    let deep = HttpApi::new("GET", "/health?deep=1").event();
    answer(&health, &deep).await.ok(200);
    proxy.set(Fault::BlackHole).await;
    sleep(PROBE_LIFETIME).await;
    let (start, time) = (Instant::now(), Duration::from_secs(1));
    Answer::from_lambda(&health.invoke_within(&deep, time).await).fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

/// The instance freezes with its answer, so whatever is not stored by then is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_wechat_accepted_is_stored_before_its_504() {
    let mut harness = LambdaHarness::start().await;
    let other = harness.function("login");
    harness.log_in(&other, "alice").await;
    harness.settings = harness.settings.with("REQUEST_TIMEOUT_MS", "1000");
    let login = harness.function("login");
    let code = harness.code("alice");
    // All writes go out together, and come back after the deadline.
    let slow = Fault::Latency(Duration::from_millis(1200));
    harness.dynamodb_proxy.set(slow).await;
    answer(&login, &login_event(&code))
        .await
        .fails(504, "upstream_timeout");
    login.process().pause();
    harness.dynamodb_proxy.heal().await;

    let again = answer(&other, &login_event(&code)).await;
    again.ok(200);
    assert_eq!(harness.code2session_calls(), 2, "{}", login.logs());
}

/// In the middle of a request, for longer than the servers keep silent connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_frozen_while_waiting_for_redis_recovers() {
    let harness = LambdaHarness::start().await;
    let user_info = harness.function("user-info");
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    harness
        .redis
        .command(&["CONFIG", "SET", "timeout", "1"])
        .await;

    harness.redis.pause();
    let event = with_id(info_event(&tokens), "frozen");
    let (frozen, ()) = tokio::join!(answer(&user_info, &event), async {
        // The command is sent, and its 2 s budget has not passed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        user_info.process().pause();
        harness.dynamodb_proxy.cut_and_wait().await;
        harness.wechat_proxy.cut_and_wait().await;
        harness.redis.resume();
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
async fn freeze_while_connections_die(harness: &LambdaHarness, instances: &[&FunctionUnderTest]) {
    for instance in instances {
        instance.process().pause();
    }
    let mut redis = harness.redis.connection().await;
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
    harness.dynamodb_proxy.cut_and_wait().await;
    harness.wechat_proxy.cut_and_wait().await;
    for instance in instances {
        instance.process().resume();
    }
}
