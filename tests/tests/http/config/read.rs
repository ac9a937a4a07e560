//! `GET /api/v1/config/{key}`

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{BANNER, create, put_text};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_served_with_its_version(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    // Once from DynamoDB, and then from the cache.
    for _ in 0..3 {
        let answer = app.api.config("home.banner").await;
        let wanted = json!({
            "key": "home.banner", "value": "welcome", "version": 1,
            "updatedAt": "2026-11-23T08:00:00.123Z",
        });
        assert_eq!(answer.ok(200), &wanted);
        assert_eq!(answer.header("etag"), Some("\"1\""));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(answer.header("vary"), Some("accept-language"));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_the_client_has_is_not_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    let conditional = async |tag: &str| {
        let request = app.api.request("GET", BANNER).header("if-none-match", tag);
        request.send_raw().await
    };
    for tag in ["\"1\"", "W/\"1\"", "\"0\", \"1\"", "*"] {
        let (status, headers, body) = conditional(tag).await;
        assert_eq!((status, body.len()), (304, 0), "{tag}");
        assert_eq!(headers["etag"], "\"1\"");
        assert_eq!(headers["cache-control"], "public, max-age=60");
        assert!(headers.contains_key("x-request-id"));
    }
    let changed = json!({"value": "new", "version": 1});
    app.api
        .put_config(&root.access, "home.banner", &changed)
        .await
        .ok(200);
    let (status, headers, body) = conditional("\"1\"").await;
    assert_eq!((status, &headers["etag"]), (200, &"\"2\"".parse().unwrap()));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["data"]["value"], "new");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_keeps_its_digits_and_its_order(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let value = r#"{"b":1.50,"a":[12345678901234567890123,null,"\u4e2d"]}"#;
    let body = format!("{{\"value\":{value}}}");
    put_text(&app.api, &root, body).await.ok(200);
    for _ in 0..2 {
        let (_, _, body) = app.api.request("GET", BANNER).send_raw().await;
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(&format!("\"value\":{value},")), "{body}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_key_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let before = app.rows().await;
    let long = "a".repeat(65);
    for key in [
        "UPPER", ".hidden", "-a", "a%20b", "a%2Fb", "a%23b", "a%7Db", "%ff", "%00", "a%0a", "%E4",
        &long,
    ] {
        app.api.config(key).await.fails_at(&["key"]);
        let value = json!({"value": 1});
        app.api
            .put_config(&root.access, key, &value)
            .await
            .fails_at(&["key"]);
        app.api
            .delete_config(&root.access, key)
            .await
            .fails_at(&["key"]);
    }
    assert!(app.rows().await == before, "rows were written");
    app.api.config("").await.fails(404, "not_found");
    app.api.config("a/b").await.fails(404, "not_found");
    let post = app.api.request("POST", BANNER).json(&json!({"value": 1}));
    post.send().await.fails(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_may_be_told_to_ask_each_time() {
    let app = TestApp::builder(InProcess)
        .set("CONFIG_MAX_AGE_SECONDS", "0")
        .start()
        .await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "welcome").await;
    let answer = app.api.config("home.banner").await;
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
}
