//! A reader that can't store what it has loaded leaves no lease behind: others would wait for it.

use std::time::{Duration, Instant};

use e2e::{
    test_app::{SharedState, TestApp, Tokens, capture},
    wire_proxy::Fault,
};
use rstest::rstest;
use tokio::time::sleep;

/// Whether Redis holds a lease on the key.
async fn is_leased(app: &mut TestApp, key: &str) -> bool {
    let mut connection = app.redis().connection().await;
    let mut get = redis::cmd("GET");
    let record: Option<Vec<u8>> = get.arg(key).query_async(&mut connection).await.unwrap();
    record.is_some_and(|record| record.first() == Some(&b'l'))
}

async fn redis_is(app: &TestApp, fault: Fault) {
    app.proxies().redis.as_ref().unwrap().set(fault).await;
}

fn profile_key(tokens: &Tokens) -> String {
    format!("{{u:{}}}:profile", tokens.user_id())
}

/// A request has 200 ms for Redis: with 80 ms a round trip they are used up when the profile is to be
/// stored, and with 120 ms while the lease is being taken.
#[rstest]
#[case::the_value_is_not_stored(80)]
#[case::whether_the_lease_was_taken_is_not_known(120)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_redis_leaves_no_lease_that_readers_wait_for(#[case] latency_ms: u64) {
    capture();
    let builder = TestApp::builder(SharedState::Redis).own_redis().proxied();
    let mut app = builder.set("REDIS_TIMEOUT_MS", "200").start().await;
    let tokens = app.log_in("alice").await;
    let key = profile_key(&tokens);
    app.redis().command(&["DEL", &key]).await;
    let latency = Duration::from_millis(latency_ms);
    redis_is(&app, Fault::Latency(latency)).await;
    let answer = app.api.info(&tokens.access).await;
    answer.ok(200);
    assert_eq!(app.log_line(&answer)["degraded"], true);
    // Much sooner than the lease would expire.
    let soon = Instant::now() + Duration::from_secs(3);
    while is_leased(&mut app, &key).await {
        assert!(Instant::now() < soon, "a lease is left");
        sleep(Duration::from_millis(20)).await;
    }
}
