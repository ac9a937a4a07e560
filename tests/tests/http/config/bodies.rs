//! Bodies that are refused.

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use rstest::rstest;
use serde_json::json;

use super::{BANNER, put_text};

const MAX: usize = 64 * 1024;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_a_rule_writes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let before = app.rows().await;
    let deep = format!("{{\"value\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for (body, field) in [
        ("", ""),
        ("{", ""),
        ("null", ""),
        ("[1]", ""),
        ("{}", "value"),
        (r#"{"value":1,"value":2}"#, "value"),
        (r#"{"value":1,"key":"x"}"#, "key"),
        (r#"{"value":1,"version":null}"#, "version"),
        (r#"{"value":1,"version":"1"}"#, "version"),
        (r#"{"value":1,"version":-1}"#, "version"),
        (r#"{"value":1,"version":1.5}"#, "version"),
        (r#"{"value":1e999}"#, "value"),
        (r#"{"value":"\ud800"}"#, "value"),
        (r#"{"value":01}"#, ""),
        (&deep, "value"),
    ] {
        let answer = put_text(&app.api, &root, body).await;
        answer.fails_at(&[field]);
    }
    let not_utf8 = put_text(&app.api, &root, b"{\"value\":\"\xff\"}".to_vec()).await;
    not_utf8.fails(400, "invalid_request");
    let text = app.api.request("PUT", BANNER).bearer(&root.access);
    let text = text
        .header("content-type", "text/plain")
        .body("{\"value\":1}");
    text.send().await.fails(415, "unsupported_media_type");
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_has_at_most_64_kib(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let value = |length: usize| "x".repeat(length - 2);
    let put = |length| {
        put_text(
            &app.api,
            &root,
            format!("{{\"value\":\"{}\"}}", value(length)),
        )
    };
    for length in [MAX + 1, MAX + 1024, 10 * MAX] {
        put(length).await.fails(413, "body_too_large");
    }
    put(MAX).await.ok(200);
    for _ in 0..2 {
        let read = app.api.config("home.banner").await;
        assert_eq!(read.ok(200)["value"], value(MAX));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_has_one_form(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    super::create(&app.api, &root, "home.banner", "welcome").await;
    let with = async |method: &str, tag: &str, body: &serde_json::Value| {
        let request = app.api.request(method, BANNER).bearer(&root.access);
        request.header("if-match", tag).json(body).send().await
    };
    for tag in ["1", "*", "W/\"1\"", "\"x\"", "\"1\", \"2\"", "\"01\""] {
        with("PUT", tag, &json!({"value": 1}))
            .await
            .fails_at(&["If-Match"]);
        with("DELETE", tag, &json!({}))
            .await
            .fails_at(&["If-Match"]);
    }
    let contradiction = json!({"value": 1, "version": 2});
    with("PUT", "\"1\"", &contradiction)
        .await
        .fails_at(&["version"]);
    with("DELETE", "\"1\"", &json!({"version": 2}))
        .await
        .fails_at(&["version"]);
    assert_eq!(app.api.config("home.banner").await.ok(200)["version"], 1);
}
