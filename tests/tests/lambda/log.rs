//! What an instance logs.

use std::collections::BTreeSet;

use e2e::settings::{APP_ID, Settings};

use crate::harness::{Stage, answer, info_event, log_line, login_event, push_sample, with_id};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_one_line_with_all_that_an_operator_asks_for() {
    let stage = Stage::start().await;
    let tokens = stage.log_in(&stage.function("login"), "alice").await;
    let user_info = stage.function("user-info");
    answer(&user_info, &with_id(info_event(&tokens), "first"))
        .await
        .ok(200);
    let line = log_line(&user_info, "first").await;
    let names: BTreeSet<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let documented = [
        "app_id",
        "cold_start",
        "degraded",
        "latency_ms",
        "level",
        "message",
        "method",
        "redis_ms",
        "request_id",
        "route",
        "status",
        "target",
        "timestamp",
        "user_id",
    ];
    assert_eq!(names, documented.into());
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        (&line["method"], &line["route"], &line["status"]),
        (&"GET".into(), &"/api/v1/user/info".into(), &200.into())
    );
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
async fn only_the_first_request_is_a_cold_start() {
    let stage = Stage::start().await;
    let health = stage.function("health");
    let event = e2e::events::load("health", "health", &[]);
    for (id, cold) in [("first", true), ("second", false), ("third", false)] {
        answer(&health, &with_id(event.clone(), id)).await.ok(200);
        assert_eq!(log_line(&health, id).await["cold_start"], cold, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_logged_as_its_template() {
    let stage = Stage::start().await;
    let (event, tokens) = stage
        .sample(&stage.function("login"), "token", "delete-session")
        .await;
    let token = stage.function("token");
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
    let stage = Stage::start().await;
    let login = stage.function("login");
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
async fn nothing_secret_is_logged_at_any_level() {
    let mut stage = Stage::start().await;
    stage.settings = stage.settings.with("LOG_LEVEL", "trace");
    let code = stage.code("alice");
    let login = stage.function("login");
    let tokens = e2e::world::Tokens::of(&answer(&login, &login_event(&code)).await);
    answer(&login, &login_event("a-code-of-nobody"))
        .await
        .fails(400, "code_invalid");
    let [token, user_info] = ["token", "user-info"].map(|name| stage.function(name));
    answer(&user_info, &info_event(&tokens)).await.ok(200);
    answer(&token, &crate::harness::refresh_event(&tokens.refresh))
        .await
        .ok(200);
    stage.wechat_wire.set(e2e::wire_proxy::Fault::Refuse).await;
    stage.wechat_wire.cut_and_wait().await;
    answer(&login, &with_id(login_event(&stage.code("bob")), "last"))
        .await
        .fails(503, "unavailable");
    log_line(&login, "last").await;
    let callback = stage.function("callback");
    for name in ["plain-json", "secure-json", "secure-xml"] {
        assert_eq!(
            callback.invoke(&push_sample(&stage, name)).await["body"],
            "success"
        );
    }
    let open_id = stage.wechat.open_id("alice", None).unwrap();
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
