//! Events that hold what HTTP can't.

use e2e::{binaries, events::HttpApi, runtime_api::FunctionUnderTest, settings::Settings};
use serde_json::{Value, json};

use crate::harness::{answer, log_line, with_id};

fn health() -> FunctionUnderTest {
    let settings = Settings::new("http://127.0.0.1:9", "http://127.0.0.1:9");
    FunctionUnderTest::spawn(binaries::path("health"), settings.variables())
}

fn event(changes: &[(&str, Value)]) -> Value {
    let mut event = HttpApi::new("GET", "/health").event();
    for (pointer, value) in changes {
        *event.pointer_mut(pointer).unwrap() = value.clone();
    }
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_a_uri_refuses_is_answered_and_logged() {
    let health = health();
    for (number, query) in [r#"a="x""#, "a=b c", "a=<b>", "a=\u{1}", "a=\r\n", "é=`"]
        .into_iter()
        .enumerate()
    {
        let event = event(&[("/rawQueryString", json!(query))]);
        let id = format!("query-{number}");
        answer(&health, &with_id(event, &id)).await.ok(200);
        assert_eq!(log_line(&health, &id).await["status"], 200, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_event_is_answered_and_logged_with_its_cause() {
    let health = health();
    for (id, pointer, value) in [
        ("header", "/headers/host", json!("a\r\nb: c")),
        ("method", "/requestContext/http/method", json!("G T")),
        ("base64", "/isBase64Encoded", json!(true)),
        ("header-value", "/headers/user-agent", json!("\u{0}")),
    ] {
        let event = event(&[(pointer, value), ("/body", json!("not base64"))]);
        answer(&health, &with_id(event, id))
            .await
            .fails(400, "invalid_request");
        let line = log_line(&health, id).await;
        assert_eq!(
            (&line["status"], &line["reason"]),
            (&400.into(), &"invalid_request".into())
        );
        let cause = line["cause"].as_str().unwrap();
        assert!(cause.starts_with("malformed request: "), "{line}");
    }
    // A field of another type says nothing about the request, not even its id.
    let event = event(&[("/headers", json!([7]))]);
    answer(&health, &event).await.fails(400, "invalid_request");
}
