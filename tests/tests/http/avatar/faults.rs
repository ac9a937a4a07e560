//! The store or the table fails in between.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue,
};
use e2e::{
    PATIENCE,
    dynamodb::TABLE,
    test_app::{
        SharedState::{InProcess, Redis},
        TestApp, Tokens,
    },
    upload::{PNG, post_form},
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::Value;

use super::{avatar_url, confirm, fetch, other_png, published, upload_rows, uploaded, url_of};

async fn proxied() -> TestApp {
    TestApp::builder(InProcess)
        .avatars()
        .proxied()
        .start()
        .await
}

#[rstest]
#[case::down(Fault::Refuse, 503, "unavailable")]
#[case::silent(Fault::BlackHole, 504, "upstream_timeout")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_is_a_clear_reason_and_loses_nothing(
    #[case] fault: Fault,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let app = proxied().await;
    let tokens = app.log_in("alice").await;
    let before = published(&app, &tokens, PNG).await;
    let form = uploaded(&app, &tokens, &other_png()).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(fault).await;
    confirm(&app, &tokens, &form).await.fails(status, reason);
    assert_eq!(avatar_url(&app, &tokens).await, before);
    assert_eq!(fetch(&before).await.status, 200);
    store.heal().await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(fetch(&url).await.body, other_png());
    assert_eq!(app.object_keys().len(), 1);
}

/// It answers, and later than a request may take: the request ends before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_too_slow_is_not_waited_for_longer_than_a_request_may_take() {
    let app = TestApp::builder(InProcess).avatars().proxied();
    let app = app.set("REQUEST_TIMEOUT_MS", "2000").start().await;
    let tokens = app.log_in("alice").await;
    let before = published(&app, &tokens, PNG).await;
    let form = uploaded(&app, &tokens, &other_png()).await;
    let store = app.proxies().objects.as_ref().unwrap();
    let start = Instant::now();
    store.set(Fault::Latency(PATIENCE)).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(504, "upstream_timeout");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(avatar_url(&app, &tokens).await, before);
    // Slow, and fast enough.
    store.cut();
    store.set(Fault::Latency(Duration::from_millis(20))).await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(fetch(&url).await.body, other_png());
}

/// The copy was made, and its answer lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_that_lost_the_stores_answers_can_be_repeated() {
    let app = proxied().await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.set(Fault::LoseReplies).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(504, "upstream_timeout");
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    store.heal().await;
    store.cut();
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(fetch(&url).await.body, PNG);
}

/// As a process leaves it that dies between the copy and the write of the profile.
pub(super) async fn stop_half_way(app: &TestApp, tokens: &Tokens, form: &Value) {
    let pk = format!("USER#{}", tokens.user_id());
    let sk = super::key(form).replace("uploads/", "UPLOAD#");
    let row = "SET phase = :publishing, busyUntil = :until";
    let values = [
        (":publishing", "publishing"),
        (":until", "2026-11-23T08:00:15.123Z"),
    ];
    update(app, &pk, &sk, row, &values).await;
    update(app, &pk, "PROFILE", "REMOVE avatarUrl", &[]).await;
    app.evict_profile(&tokens.user_id()).await;
}

async fn update(app: &TestApp, pk: &str, sk: &str, expression: &str, values: &[(&str, &str)]) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update.key("pk", text(pk)).key("sk", text(sk));
    let update = update.update_expression(expression);
    let with_value = |update: UpdateItemFluentBuilder, (name, value): &(&str, &str)| {
        update.expression_attribute_values(*name, text(value))
    };
    let update = values.iter().fold(update, with_value);
    update.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_stopped_half_way_is_completed_by_the_same_request() {
    let app = super::start(Redis).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    stop_half_way(&app, &tokens, &form).await;
    post_form(&form, PNG).await;
    assert_eq!(url_of(confirm(&app, &tokens, &form).await.ok(200)), url);
    assert_eq!(avatar_url(&app, &tokens).await, url);
    assert_eq!(fetch(&url).await.body, PNG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_stopped_half_way_takes_no_other_picture() {
    let app = super::start(Redis).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    confirm(&app, &tokens, &form).await.ok(200);
    stop_half_way(&app, &tokens, &form).await;
    post_form(&form, &PNG[..50]).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(400, "upload_invalid");
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_stopped_half_way_is_swept_by_the_next_one() {
    let app = super::start(Redis).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    confirm(&app, &tokens, &form).await.ok(200);
    stop_half_way(&app, &tokens, &form).await;
    // Not while its process may still be working on it.
    let url = published(&app, &tokens, &other_png()).await;
    assert_eq!(app.object_keys().len(), 2);
    app.clock.advance_seconds(15);
    let url = {
        assert_eq!(fetch(&url).await.status, 200);
        published(&app, &tokens, PNG).await
    };
    assert_eq!(fetch(&url).await.body, PNG);
    assert_eq!(
        (app.object_keys().len(), upload_rows(&app).await.len()),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_down_changes_nothing() {
    let app = proxied().await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    // Session and profile are cached.
    app.api.info(&tokens.access).await.ok(200);
    let table = &app.proxies().dynamodb;
    table.cut();
    table.set(Fault::Refuse).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(503, "unavailable");
    let answer = app.api.begin_avatar(&tokens.access, "image/png", 10).await;
    answer.fails(503, "unavailable");
    table.heal().await;
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    confirm(&app, &tokens, &form).await.ok(200);
    assert_eq!(post_form(&form, PNG).await.status, 204);
}
