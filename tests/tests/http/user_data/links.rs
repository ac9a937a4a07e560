//! URL links.

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};
use shared::clock::Clock;
use wechat_simulator::Quota;

use super::{set_errcode, with};

const PATH: &str = "/wxa/generate_urllink";

fn body() -> Value {
    json!({"path": "pages/order/order", "query": "id=7", "expireDays": 7})
}

fn expiry(link: &Value) -> Timestamp {
    link["expiresAt"].as_str().unwrap().parse().unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_made_once_for_all_who_ask_for_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let alice = app.administrator("alice").await;
    let bob = app.administrator("bob").await;
    let now = Clock::Manual(app.clock.clone()).now();
    let first = app
        .api
        .url_link(&alice.access, &body())
        .await
        .ok(200)
        .clone();
    assert!(
        first["url"]
            .as_str()
            .unwrap()
            .starts_with("https://wxaurl.cn/")
    );
    assert_eq!(expiry(&first), now + SignedDuration::from_hours(7 * 24));
    assert_eq!(*app.api.url_link(&bob.access, &body()).await.ok(200), first);
    if state == Redis {
        let other = app.another_instance().await;
        assert_eq!(*other.url_link(&bob.access, &body()).await.ok(200), first);
    }
    assert_eq!(app.wechat.calls(PATH), 1);
    for other in [
        json!({}),
        with(&body(), "path", "pages/index/index"),
        with(&body(), "query", "id=8"),
        with(&body(), "expireDays", 8),
        with(&body(), "envVersion", "develop"),
    ] {
        let link = app.api.url_link(&alice.access, &other).await;
        assert_ne!(link.ok(200)["url"], first["url"], "{other}");
    }
    assert_eq!(app.wechat.calls(PATH), 6);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_not_served_after_it_expired(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let body = with(&body(), "expireDays", 1);
    let tokens = app.administrator("alice").await;
    let first = app
        .api
        .url_link(&tokens.access, &body)
        .await
        .ok(200)
        .clone();
    // Real time has not passed: Redis still has it.
    app.clock.advance_seconds(24 * 3600);
    let tokens = app.administrator("alice").await;
    let second = app
        .api
        .url_link(&tokens.access, &body)
        .await
        .ok(200)
        .clone();
    assert_ne!(second["url"], first["url"]);
    let now = Clock::Manual(app.clock.clone()).now();
    assert_eq!(expiry(&second), now + SignedDuration::from_hours(24));
    assert_eq!(
        *app.api.url_link(&tokens.access, &body).await.ok(200),
        second
    );
    assert_eq!(app.wechat.calls(PATH), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_valid_for_thirty_days_unless_it_is_said(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.administrator("alice").await;
    let now = Clock::Manual(app.clock.clone()).now();
    let link = app.api.url_link(&tokens.access, &json!({})).await;
    assert_eq!(
        expiry(link.ok(200)),
        now + SignedDuration::from_hours(30 * 24)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_used_up_has_a_reason_of_its_own(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.administrator("alice").await;
    app.wechat.set_quota(Quota::Links, 1, None).unwrap();
    let first = app
        .api
        .url_link(&tokens.access, &body())
        .await
        .ok(200)
        .clone();
    let other = app.api.url_link(&tokens.access, &json!({})).await;
    other.fails(503, "quota_exceeded");
    assert_eq!(other.header("retry-after"), Some("3600"));
    assert_eq!(
        *app.api.url_link(&tokens.access, &body()).await.ok(200),
        first
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wechat_refuses_has_a_reason_and_is_not_cached(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.administrator("alice").await;
    for (errcode, status, reason) in [
        (40165, 400, "target_invalid"),
        (40212, 400, "target_invalid"),
        (44990, 429, "rate_limited"),
        (85079, 500, "internal"),
        (40013, 500, "internal"),
        (47001, 502, "upstream_error"),
        (-1, 503, "unavailable"),
    ] {
        set_errcode(&app, PATH, errcode);
        let answer = app.api.url_link(&tokens.access, &body()).await;
        answer.fails(status, reason);
    }
    app.wechat.clear_faults();
    app.api.url_link(&tokens.access, &body()).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_and_links_share_the_limit_of_a_user(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_CODES", "1/h burst 1")
        .start()
        .await;
    let tokens = app.administrator("alice").await;
    let code = json!({"scene": "a"});
    app.api.code(&tokens.access, &code).await.ok(200);
    app.api
        .url_link(&tokens.access, &body())
        .await
        .fails(429, "rate_limited");
    assert_eq!(app.wechat.calls(PATH), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_links_are_rejected_without_a_call(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.administrator("alice").await;
    for (name, value) in [
        ("path", json!("")),
        ("path", json!("/pages/order")),
        ("path", json!("pages/order?id=7")),
        ("path", Value::Null),
        ("query", json!("")),
        ("query", json!("a b")),
        ("query", json!("x".repeat(1025))),
        ("query", Value::Null),
        ("expireDays", json!(0)),
        ("expireDays", json!(31)),
        ("envVersion", json!("formal")),
        ("envVersion", Value::Null),
        ("expireTime", json!(1)),
    ] {
        let answer = app
            .api
            .url_link(&tokens.access, &with(&body(), name, value))
            .await;
        answer.fails_at(&[name]);
    }
    assert_eq!(app.wechat.calls(PATH), 0);
}
