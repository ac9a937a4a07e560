//! Promises of every answer, whatever the request.

use std::collections::BTreeSet;

use e2e::test_app::SharedState::{self, InProcess, Redis};
use rstest::rstest;
use serde_json::json;

use super::logged_in::LoggedInApp;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_messages_are_chinese_or_on_request_english(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let api = &fixture.app.api;
    let failures = [
        (
            "GET",
            "/nowhere",
            404,
            "not_found",
            "资源不存在",
            "Not found",
        ),
        (
            "PUT",
            "/health",
            405,
            "method_not_allowed",
            "请求方法不被允许",
            "Method not allowed",
        ),
        (
            "GET",
            "/api/v1/user/info",
            401,
            "token_missing",
            "请先登录",
            "Log in first",
        ),
        (
            "POST",
            "/api/v1/user/login",
            415,
            "unsupported_media_type",
            "请使用 application/json",
            "Use application/json",
        ),
    ];
    for (method, path, status, reason, chinese, english) in failures {
        for (languages, message) in [
            (None, chinese),
            (Some("zh-CN,en;q=0.5"), chinese),
            (Some("en-GB,en"), english),
        ] {
            let request = api.request(method, path);
            let request = match languages {
                Some(languages) => request.header("accept-language", languages),
                None => request,
            };
            let expected =
                json!({"code": status, "message": message, "data": null, "reason": reason});
            assert_eq!(request.body(b"x").send().await.body, expected);
        }
    }
    let english = api
        .request("GET", "/health")
        .header("accept-language", "en")
        .send()
        .await;
    assert_eq!((english.status, english.message()), (200, "OK"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsupported_method_is_a_405_with_an_allow_header(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let routes = [
        ("/health", "GET,HEAD"),
        ("/api/v1/user/login", "POST"),
        ("/api/v1/user/refresh", "POST"),
        ("/api/v1/user/logout", "POST"),
        ("/api/v1/user/sessions", "GET,HEAD"),
        ("/api/v1/user/sessions/x", "DELETE"),
        ("/api/v1/user/info", "GET,HEAD,PATCH,PUT"),
        ("/api/v1/user/avatar", "POST,PUT"),
        ("/api/v1/user/consents", "GET,HEAD"),
        ("/api/v1/user/consents/x", "PUT,DELETE"),
        ("/api/v1/user/subscriptions", "GET,HEAD,PUT"),
        ("/api/v1/user/activity", "GET,HEAD"),
        ("/api/v1/user/export", "GET,HEAD"),
        ("/api/v1/user", "DELETE"),
        ("/api/v1/users/batch-delete", "POST"),
        ("/api/v1/users/x/messages", "GET,HEAD"),
        ("/api/v1/users/x/messages/x", "GET,HEAD"),
        ("/api/v1/messages", "POST"),
        ("/api/v1/sagas", "GET,HEAD"),
        ("/api/v1/sagas/x/resume", "POST"),
        ("/api/v1/webhooks/failures", "GET,HEAD"),
        ("/api/v1/webhooks/failures/x/redeliver", "POST"),
        ("/api/v1/config", "GET,HEAD"),
        ("/api/v1/config/x", "GET,HEAD,PUT,DELETE"),
    ];
    for (path, allowed) in routes {
        for method in ["OPTIONS", "TRACE", "BREW"] {
            let answer = fixture.app.api.request(method, path).send().await;
            answer.fails(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_path_is_a_404(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let long = format!("/{}", "x".repeat(8000));
    let paths = [
        "/",
        "/nowhere",
        "/health/",
        "/Health",
        "//health",
        "/api/v1",
        "/api/v1/user/login/",
        "/api/v1/user/sessions/",
        "/api/v1/user/sessions/a/b",
        "/api/v2/user/info",
        "/%2568ealth",
        "/api/v1/user/info%00",
        "/_wechat/sns/jscode2session",
        &long,
    ];
    for path in paths {
        let answer = fixture.app.api.request("GET", path).send().await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, Some("not_found")),
            "{path}"
        );
    }
    fixture.assert_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_own_request_id_and_is_not_stored(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = LoggedInApp::start(state).await;
    let api = &fixture.app.api;
    let answers = [
        api.request("GET", "/health").send().await,
        api.info(&fixture.tokens.access).await,
        api.info("x").await,
        api.sessions(&fixture.tokens.access).await,
        api.refresh("x").await,
        api.request("GET", "/nowhere").send().await,
        api.request("PUT", "/health").send().await,
    ];
    let ids: BTreeSet<&str> = answers
        .iter()
        .map(|answer| answer.header("x-request-id").unwrap())
        .collect();
    assert_eq!(ids.len(), answers.len());
    for answer in &answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_own_request_id_is_ignored(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = LoggedInApp::start(state).await;
    let answer = fixture
        .app
        .api
        .request("GET", "/health")
        .header("x-request-id", "mine")
        .send()
        .await;
    assert_ne!(answer.header("x-request-id"), Some("mine"));
}
