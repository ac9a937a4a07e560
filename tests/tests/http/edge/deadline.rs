//! One deadline for each request: calls end with it, and the answer is an envelope before the
//! platform gives up.

use std::time::{Duration, Instant};

use e2e::{
    binaries,
    dynamodb::DynamoDb,
    events::HttpApi,
    http::Answer,
    runtime_api::FunctionUnderTest,
    settings::Settings,
    wire_proxy::{Fault, WireProxy},
    world::{SharedState, Tokens, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_table_is_silent_is_a_504_in_time() {
    let world = World::with(SharedState::InProcess)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "500")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    world.profile_leaves_the_cache(&tokens.user_id()).await;
    world.proxies().dynamodb.set(Fault::BlackHole).await;
    let start = Instant::now();
    world
        .api
        .info(&tokens.access)
        .await
        .fails(504, "upstream_timeout");
    // The operation alone would take 4 s, and be a 503.
    assert!(
        start.elapsed() >= Duration::from_millis(500) && start.elapsed() < Duration::from_secs(3)
    );
}

/// Without it, the caller would need a new code for a session that could not be written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_wechat_accepted_is_written_down_after_its_deadline() {
    let world = World::with(SharedState::InProcess)
        .proxied()
        .set("REQUEST_TIMEOUT_MS", "1500")
        .start()
        .await;
    world.log_in("bob").await;
    // A login writes twice, one after the other.
    world
        .proxies()
        .dynamodb
        .set(Fault::Latency(Duration::from_secs(1)))
        .await;
    let code = world.code("alice");
    world.api.login(&code).await.fails(504, "upstream_timeout");
    world.proxies().dynamodb.heal().await;
    let tokens = Tokens::of(&world.api.login(&code).await);
    assert_eq!(world.code_calls(), 2, "one for each person");
    world.api.info(&tokens.access).await.ok(200);
    assert_eq!(world.count("SESSION#").await, 2);
}

/// `REQUEST_TIMEOUT_MS` would allow 8 s, and the operation ends after 4 s with a 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_is_answered_before_lambda_ends_it() {
    let table = DynamoDb::start().await;
    let wire = WireProxy::http(table.port()).await;
    let settings = Settings::new(&wire.http_url(), "http://127.0.0.1:9");
    let health = FunctionUnderTest::spawn(binaries::path("health"), settings.variables());
    let deep = HttpApi::new("GET", "/health?deep=1").event();
    Answer::from_lambda(&health.invoke(&deep).await).ok(200);
    wire.set(Fault::BlackHole).await;
    let (start, time) = (Instant::now(), Duration::from_secs(1));
    Answer::from_lambda(&health.invoke_within(&deep, time).await).fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}
