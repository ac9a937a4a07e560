//! `null` is no value: it is refused wherever it does not clear something.

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use rstest::rstest;
use serde_json::{Value, json};

/// Each route with a body, the rest of a body, and its optional fields. Bodies with fields that
/// take `null` in another way are found by a test of the sources.
fn optional_fields() -> [(&'static str, Value, &'static [&'static str]); 5] {
    [
        ("/api/v1/user/login", json!({"code": "c"}), &["appId"]),
        ("/api/v1/user/logout", json!({}), &["all"]),
        (
            "/api/v1/user/decrypt",
            json!({"encryptedData": "", "iv": ""}),
            &["rawData", "signature", "checkSession"],
        ),
        (
            "/api/v1/user/message",
            json!({"encryptedData": "", "version": 1}),
            &["iv"],
        ),
        (
            "/api/v1/wxacode",
            json!({"scene": "a"}),
            &["page", "checkPath", "envVersion", "width", "transparent"],
        ),
    ]
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_refused_for_every_optional_field(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for (path, rest, fields) in optional_fields() {
        for field in fields {
            let mut body = rest.clone();
            body[field] = Value::Null;
            let request = app.api.request("POST", path).bearer(&tokens.access);
            let answer = request.json(&body).send().await;
            let expected = json!({"field": field, "rule": "type", "message": "类型不正确"});
            let fields = answer.fails(400, "invalid_request");
            assert_eq!(fields, &json!({"fields": [expected]}), "{path}");
        }
    }
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_is_refused_for_every_required_field_and_as_a_body(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for route in &super::logged_in::ROUTES {
        let send = async |body: &Value| {
            let request = app.api.request(route.method, route.path);
            request.bearer(&tokens.access).json(body).send().await
        };
        send(&Value::Null).await.fails_at(&[""]);
        if route.method == "POST" {
            send(&json!({ route.field: null }))
                .await
                .fails_at(&[route.field]);
        }
    }
}
