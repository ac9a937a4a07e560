//! What users agree to receive.

use e2e::{
    settings::OTHER_APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{Fixture, record, remaining, subscriptions};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_accepted_template_is_one_message_more(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let fixture = Fixture::start(state).await;
    let (api, token) = (&fixture.app.api, &fixture.user.access);
    let empty = json!({"subscriptions": []});
    assert_eq!(subscriptions(api, token).await.ok(200), &empty);
    let results = json!({"T1": "accept", "T2": "reject", "T3": "acceptWithAudio", "T4": "ban", "T5": "later"});
    let body = json!({"requestId": "call-0001", "results": results});
    let answer = record(api, token, &body).await;
    let counts = ["T1", "T2", "T3", "T4", "T5"].map(|id| remaining(answer.ok(200), id));
    assert_eq!(counts, [1, 0, 1, 0, 0]);
    let second = fixture.accept("call-0002", &["T1"]).await;
    assert_eq!(remaining(second.ok(200), "T1"), 2);
    assert_eq!(subscriptions(api, token).await.data(), second.data());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_call_counts_once(#[values(InProcess, Redis)] state: SharedState) {
    let fixture = Fixture::start(state).await;
    let calls = (0..6).map(|_| fixture.accept("call-0001", &["T1", "T2"]));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(remaining(answer.ok(200), "T1"), 1);
    }
    // Also with another template besides: that one is new.
    let more = fixture.accept("call-0001", &["T1", "T3"]).await;
    let counts = ["T1", "T2", "T3"].map(|id| remaining(more.ok(200), id));
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(fixture.app.count("GRANT#").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_fifty_of_a_template_are_kept() {
    let app = TestApp::builder(InProcess)
        .set("RATE_LIMIT_USER", "off")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    for call in 0..51 {
        let results = json!({"T1": "accept", "T2": if call < 2 { "accept" } else { "reject" }});
        let body = json!({"requestId": format!("call-{call:04}"), "results": results});
        record(&app.api, &tokens.access, &body).await.ok(200);
    }
    let answer = subscriptions(&app.api, &tokens.access).await;
    assert_eq!(remaining(answer.ok(200), "T1"), 50);
    assert_eq!(remaining(answer.ok(200), "T2"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_used_expires() {
    let app = TestApp::builder(InProcess)
        .set("MESSAGE_GRANT_DAYS", "1")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let body = json!({"requestId": "call-0001", "results": {"T1": "accept"}});
    record(&app.api, &tokens.access, &body).await.ok(200);
    app.clock.advance_seconds(86_400);
    let tokens = Tokens::of(&app.api.refresh(&tokens.refresh).await);
    let answer = subscriptions(&app.api, &tokens.access).await;
    assert_eq!(remaining(answer.ok(200), "T1"), 0);
    // DynamoDB has not deleted the row yet, and the call is unknown.
    let answer = record(&app.api, &tokens.access, &body).await;
    assert_eq!(remaining(answer.ok(200), "T1"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mini_program_has_its_own() {
    let app = TestApp::builder(InProcess).start().await;
    let first = app.log_in("alice").await;
    let body = json!({"requestId": "call-0001", "results": {"T1": "accept"}});
    record(&app.api, &first.access, &body).await.ok(200);
    let code = app.code_in(OTHER_APP_ID, "alice");
    let login = app.api.login_in(OTHER_APP_ID, &code).await;
    let other = Tokens::of(&login);
    let answer = subscriptions(&app.api, &other.access).await;
    assert_eq!(answer.ok(200), &json!({"subscriptions": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_breaks_a_rule_is_refused() {
    let fixture = Fixture::start(InProcess).await;
    let (api, token) = (&fixture.app.api, &fixture.user.access);
    let six: serde_json::Map<_, _> = (0..6)
        .map(|number| (format!("T{number}"), json!("accept")))
        .collect();
    for (body, field, rule) in [
        (
            json!({"requestId": "short", "results": {"T1": "accept"}}),
            "requestId",
            "idempotency_key",
        ),
        (
            json!({"requestId": "call#0001", "results": {"T1": "accept"}}),
            "requestId",
            "idempotency_key",
        ),
        (
            json!({"requestId": "call-0001", "results": {}}),
            "results",
            "subscription_results",
        ),
        (
            json!({"requestId": "call-0001", "results": six}),
            "results",
            "subscription_results",
        ),
        (
            json!({"requestId": "call-0001", "results": {"T1": "x".repeat(65)}}),
            "results",
            "subscription_results",
        ),
        (
            json!({"requestId": "call-0001", "results": {"a#b": "accept"}}),
            "results.a#b",
            "template_id",
        ),
        (
            json!({"requestId": "call-0001", "results": {"T1": 1}}),
            "results.T1",
            "type",
        ),
        (json!({"requestId": "call-0001"}), "results", "required"),
        (
            json!({"requestId": "call-0001", "results": {"T1": "accept"}, "x": 1}),
            "x",
            "unknown_field",
        ),
    ] {
        let answer = record(api, token, &body).await;
        answer.fails(400, "invalid_request");
        let fields = answer.data()["fields"].as_array().unwrap().clone();
        let named: Vec<_> = fields
            .iter()
            .map(|it| (&it["field"], &it["rule"]))
            .collect();
        assert_eq!(named, [(&json!(field), &json!(rule))], "{body}");
    }
    assert_eq!(fixture.app.count("GRANT#").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_templates_are_configured_others_are_refused() {
    let app = TestApp::builder(InProcess)
        .set("MESSAGE_TEMPLATES", "T1,T2")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let body = |results: Value| json!({"requestId": "call-0001", "results": results});
    let both = body(json!({"T1": "accept", "T3": "reject"}));
    let answer = record(&app.api, &tokens.access, &both).await;
    answer.fails(400, "invalid_request");
    assert_eq!(answer.data()["fields"][0]["field"], "results.T3");
    let known = body(json!({"T1": "accept", "T2": "accept"}));
    record(&app.api, &tokens.access, &known).await.ok(200);
}
