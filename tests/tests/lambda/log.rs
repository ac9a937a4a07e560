//! What an instance logs.

use std::collections::BTreeSet;

use e2e::settings::{APP_ID, Settings};

use crate::harness::{
    LambdaHarness, answer, info_event, log_line, login_event, push_sample, with_id,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_one_line_with_the_documented_fields() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("METRICS", "emf");
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let user_info = harness.function("user-info");
    answer(&user_info, &with_id(info_event(&tokens), "first"))
        .await
        .ok(200);
    let line = log_line(&user_info, "first").await;
    let metrics = e2e::logs::metric_members(&line);
    let names: BTreeSet<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .filter(|name| !metrics.contains(name))
        .collect();
    let documented = [
        "app_id",
        "cold_start",
        "degraded",
        "latency_ms",
        "level",
        "message",
        "redis_ms",
        "request_id",
        "status_code",
        "target",
        "timestamp",
        "user_id",
    ];
    assert_eq!(names, documented.into());
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        (&line["method"], &line["route"], &line["status_code"]),
        (&"GET".into(), &"/api/v1/user/info".into(), &200.into())
    );
    assert_eq!(line["status"], "200");
    assert_eq!(
        (&line["app_id"], &line["user_id"]),
        (&APP_ID.into(), &tokens.user_id().into())
    );
    assert_eq!(line["degraded"], false);
    let [latency, redis] = ["latency_ms", "redis_ms"].map(|name| line[name].as_f64().unwrap());
    assert!(redis > 0.0 && latency > redis, "{line}");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!(
        user_info
            .logs()
            .json_where("message", &"request".into())
            .len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_metrics_the_line_has_the_log_alone_and_its_status_is_a_number() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("METRICS", "off");
    let health = harness.function("health");
    let event = e2e::events::load("health", "health", &[]);
    answer(&health, &with_id(event, "first")).await.ok(200);
    let line = log_line(&health, "first").await;
    assert_eq!(
        (&line["method"], &line["route"], &line["status"]),
        (&"GET".into(), &"/health".into(), &200.into())
    );
    assert!(
        line.get("_aws").is_none() && line.get("status_code").is_none(),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_request_is_a_cold_start() {
    let harness = LambdaHarness::start().await;
    let health = harness.function("health");
    let event = e2e::events::load("health", "health", &[]);
    for (id, cold) in [("first", true), ("second", false), ("third", false)] {
        answer(&health, &with_id(event.clone(), id)).await.ok(200);
        assert_eq!(log_line(&health, id).await["cold_start"], cold, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_logged_as_its_template() {
    let harness = LambdaHarness::start().await;
    let (event, tokens) = harness
        .sample(&harness.function("login"), "token", "delete-session")
        .await;
    let token = harness.function("token");
    answer(&token, &with_id(event, "deletion")).await.ok(200);
    assert_eq!(
        log_line(&token, "deletion").await["route"],
        "/api/v1/user/sessions/{id}"
    );
    assert!(
        !token.logs().contain(&tokens.session_id()),
        "{}",
        token.logs()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_logged_with_its_reason() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    answer(
        &login,
        &with_id(login_event("no-code-of-wechats"), "refused"),
    )
    .await
    .fails(400, "code_invalid");
    let line = log_line(&login, "refused").await;
    assert_eq!(
        (&line["reason"], &line["status"]),
        (&"code_invalid".into(), &400.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_at_trace_level() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("LOG_LEVEL", "trace");
    let code = harness.code("alice");
    let login = harness.function("login");
    let tokens = e2e::test_app::Tokens::of(&answer(&login, &login_event(&code)).await);
    answer(&login, &login_event("an-unknown-code"))
        .await
        .fails(400, "code_invalid");
    let [token, user_info] = ["token", "user-info"].map(|name| harness.function(name));
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    answer(&token, &crate::harness::refresh_event(&tokens.refresh))
        .await
        .ok(200);
    harness
        .wechat_proxy
        .set(e2e::wire_proxy::Fault::Refuse)
        .await;
    harness.wechat_proxy.cut_and_wait().await;
    answer(&login, &with_id(login_event(&harness.code("bob")), "last"))
        .await
        .fails(503, "unavailable");
    log_line(&login, "last").await;
    let callback = harness.function("callback");
    for name in ["plain-json", "secure-json", "secure-xml"] {
        assert_eq!(
            callback.invoke(&push_sample(&harness, name)).await["body"],
            "success"
        );
    }
    let open_id = harness.wechat.open_id("alice", None).unwrap();
    let own = [
        ("the code", code.as_str()),
        ("the openid", &open_id),
        ("the access token", &tokens.access),
        ("the refresh token", &tokens.refresh),
    ];
    for function in [&login, &token, &user_info, &callback] {
        let logs = function.logs();
        logs.assert_all_json();
        logs.assert_without_secrets(Settings::secrets().into_iter().chain(own));
    }
}
