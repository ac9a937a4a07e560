//! What every answer promises, whatever was asked.

use std::collections::BTreeSet;

use e2e::world::SharedState::{self, InProcess, Redis};
use rstest::rstest;
use serde_json::json;

use super::fixture::Scene;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told_in_chinese_and_on_request_in_english(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let api = &scene.world.api;
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
async fn another_method_is_a_405_that_says_what_is_allowed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let routes = [
        ("/health", "GET,HEAD"),
        ("/api/v1/user/login", "POST"),
        ("/api/v1/user/refresh", "POST"),
        ("/api/v1/user/logout", "POST"),
        ("/api/v1/user/sessions", "GET,HEAD"),
        ("/api/v1/user/sessions/x", "DELETE"),
        ("/api/v1/user/info", "GET,HEAD,PATCH,PUT"),
    ];
    for (path, allowed) in routes {
        for method in ["OPTIONS", "TRACE", "BREW"] {
            let answer = scene.world.api.request(method, path).send().await;
            answer.fails(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    scene.is_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_path_is_a_404(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let long = format!("/{}", "x".repeat(8000));
    let paths = [
        "/",
        "/nowhere",
        "/health/",
        "/Health",
        "//health",
        "/api/v1/user",
        "/api/v1/user/login/",
        "/api/v1/user/sessions/",
        "/api/v1/user/sessions/a/b",
        "/api/v2/user/info",
        "/%68ealth",
        "/api/v1/user/info%00",
        "/_wechat/sns/jscode2session",
        &long,
    ];
    for path in paths {
        let answer = scene.world.api.request("GET", path).send().await;
        assert_eq!(
            (answer.status, answer.reason()),
            (404, Some("not_found")),
            "{path}"
        );
    }
    scene.is_unharmed().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_its_own_request_id_and_is_not_stored(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let scene = Scene::start(state).await;
    let api = &scene.world.api;
    let answers = [
        api.request("GET", "/health").send().await,
        api.info(&scene.tokens.access).await,
        api.info("x").await,
        api.sessions(&scene.tokens.access).await,
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
async fn a_clients_request_id_is_not_taken_over(#[values(InProcess, Redis)] state: SharedState) {
    let scene = Scene::start(state).await;
    let answer = scene
        .world
        .api
        .request("GET", "/health")
        .header("x-request-id", "mine")
        .send()
        .await;
    assert_ne!(answer.header("x-request-id"), Some("mine"));
}
