//! One deadline for each request: calls end with it, and the answer is an envelope.

use std::time::{Duration, Instant};

use e2e::{
    test_app::{SharedState, TestApp, Tokens},
    wire_proxy::Fault,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unresponsive_table_is_a_504_within_the_deadline() {
    let app = TestApp::builder(SharedState::InProcess)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "500")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    app.evict_profile(&tokens.user_id()).await;
    app.proxies().dynamodb.set(Fault::BlackHole).await;
    let start = Instant::now();
    app.api
        .info(&tokens.access)
        .await
        .fails(504, "upstream_timeout");
    // The operation alone would take 4 s, and be a 503.
    assert!(
        start.elapsed() >= Duration::from_millis(500) && start.elapsed() < Duration::from_secs(3)
    );
}

/// Otherwise the caller would need a new code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_wechat_accepted_is_stored_after_its_deadline() {
    let app = TestApp::builder(SharedState::InProcess)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "1500")
        .start()
        .await;
    app.log_in("bob").await;
    // A login writes twice, one after the other.
    app.proxies()
        .dynamodb
        .set(Fault::Latency(Duration::from_secs(1)))
        .await;
    let code = app.code("alice");
    app.api.login(&code).await.fails(504, "upstream_timeout");
    app.proxies().dynamodb.heal().await;
    let tokens = Tokens::of(&app.api.login(&code).await);
    assert_eq!(app.code2session_calls(), 2, "one for each person");
    app.api.info(&tokens.access).await.ok(200);
    assert_eq!(app.count("SESSION#").await, 2);
}
