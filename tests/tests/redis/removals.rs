//! What has to be removed from the cache is removed, or no longer believed: while Redis answers
//! reads and refuses writes, after a hiccup, and after a failure of long ago.

use e2e::{
    settings::APP_ID,
    test_app::{Api, SharedState, TestApp, Tokens, capture},
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::json;

/// How Redis refuses writes.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    OutOfMemory,
    TooFewReplicas,
    NoScripts,
    NoWrites,
    /// Scripts still write.
    NoRemovals,
    NoDeletions,
    NoKeys,
    Replica,
}

impl Refusal {
    async fn begin(self, app: &mut TestApp) {
        let redis = app.redis();
        let words: &[&str] = match self {
            Self::OutOfMemory => &["CONFIG", "SET", "maxmemory", "1"],
            Self::TooFewReplicas => &["CONFIG", "SET", "min-replicas-to-write", "1"],
            Self::NoScripts => &["ACL", "SETUSER", "default", "-eval", "-evalsha"],
            Self::NoWrites => &["ACL", "SETUSER", "default", "-set", "-psetex", "-del"],
            Self::NoRemovals => &["ACL", "SETUSER", "default", "-psetex", "-del"],
            Self::NoDeletions => &["ACL", "SETUSER", "default", "-del"],
            Self::NoKeys => &["ACL", "SETUSER", "default", "resetkeys"],
            // Nobody listens there.
            Self::Replica => &["REPLICAOF", "127.0.0.1", "1"],
        };
        redis.command(words).await;
    }

    async fn end(self, app: &mut TestApp) {
        let redis = app.redis();
        let words: &[&str] = match self {
            Self::OutOfMemory => &["CONFIG", "SET", "maxmemory", "0"],
            Self::TooFewReplicas => &["CONFIG", "SET", "min-replicas-to-write", "0"],
            Self::NoScripts
            | Self::NoWrites
            | Self::NoRemovals
            | Self::NoDeletions
            | Self::NoKeys => &["ACL", "SETUSER", "default", "+@all", "allkeys"],
            Self::Replica => &["REPLICAOF", "NO", "ONE"],
        };
        redis.command(words).await;
    }
}

async fn start() -> TestApp {
    capture();
    let builder = TestApp::builder(SharedState::Redis).own_redis();
    builder.start().await
}

/// What Redis holds for a session.
async fn cached_session(app: &mut TestApp, tokens: &Tokens) -> Option<String> {
    let key = format!("{{s:{}}}", tokens.session_id());
    let mut connection = app.redis().connection().await;
    let mut get = redis::cmd("GET");
    get.arg(key).query_async(&mut connection).await.unwrap()
}

/// Sends requests until the instance uses Redis again, as its log says.
async fn until_redis_is_used(app: &TestApp, tokens: &Tokens) {
    let deadline = std::time::Instant::now() + e2e::PATIENCE;
    loop {
        let answer = app.api.info(&tokens.access).await;
        answer.ok(200);
        if app.log_line(&answer)["degraded"] == false {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "Redis is not used");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn assert_name(api: &Api, tokens: &Tokens, name: &str) {
    let answer = api.info(&tokens.access).await;
    assert_eq!(answer.ok(200)["nickname"], name);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_and_a_changed_profile_hold_while_redis_refuses_writes(
    #[values(
        Refusal::OutOfMemory,
        Refusal::TooFewReplicas,
        Refusal::NoScripts,
        Refusal::NoWrites,
        Refusal::NoRemovals,
        Refusal::NoDeletions,
        Refusal::NoKeys,
        Refusal::Replica
    )]
    refusal: Refusal,
    #[values(true, false)] limited: bool,
) {
    capture();
    let limit = if limited { "120/min burst 40" } else { "off" };
    let builder = TestApp::builder(SharedState::Redis)
        .own_redis()
        .set("RATE_LIMIT_USER", limit);
    let mut app = builder.start().await;
    let other = app.another_instance().await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for api in [&app.api, &other] {
        api.info(&alice.access).await.ok(200);
        api.info(&bob.access).await.ok(200);
    }
    refusal.begin(&mut app).await;
    app.api.logout(&alice.access).await.ok(200);
    let change = json!({"nickname": "Robert"});
    app.api.change(&bob.access, &change).await.ok(200);
    // An instance looks once a second whether removals are accepted.
    app.clock.advance_seconds(1);
    for api in [&app.api, &other] {
        for _ in 0..2 {
            let answer = api.info(&alice.access).await;
            answer.fails(401, "session_revoked");
            assert_name(api, &bob, "Robert").await;
        }
    }
    refusal.end(&mut app).await;
    app.clock.advance_seconds(2);
    until_redis_is_used(&app, &bob).await;
    assert_ne!(
        cached_session(&mut app, &alice).await.as_deref(),
        Some("vactive")
    );
    for api in [&app.api, &other] {
        let answer = api.info(&alice.access).await;
        answer.fails(401, "session_revoked");
        assert_name(api, &bob, "Robert").await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_write_is_made_up_for(
    #[values(Refusal::OutOfMemory, Refusal::TooFewReplicas, Refusal::NoWrites)] refusal: Refusal,
) {
    let mut app = start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    refusal.begin(&mut app).await;
    app.api.logout(&tokens.access).await.ok(200);
    refusal.end(&mut app).await;
    for _ in 0..3 {
        let answer = app.api.info(&tokens.access).await;
        answer.fails(401, "session_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_was_refused_for_a_moment_is_repeated_without_another_request() {
    let mut app = start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    Refusal::TooFewReplicas.begin(&mut app).await;
    app.api.logout(&tokens.access).await.ok(200);
    Refusal::TooFewReplicas.end(&mut app).await;
    let deadline = std::time::Instant::now() + e2e::PATIENCE;
    while cached_session(&mut app, &tokens).await.is_some() {
        assert!(std::time::Instant::now() < deadline, "still cached");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let other = app.another_instance().await;
    let answer = other.info(&tokens.access).await;
    answer.fails(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_out_of_memory_still_removes_for_all_instances() {
    let mut app = start().await;
    let tokens = app.log_in("alice").await;
    app.api.info(&tokens.access).await.ok(200);
    Refusal::OutOfMemory.begin(&mut app).await;
    app.api.logout(&tokens.access).await.ok(200);
    assert_eq!(cached_session(&mut app, &tokens).await, None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_health_check_reports_a_redis_that_refuses_writes(
    #[values(
        Refusal::OutOfMemory,
        Refusal::TooFewReplicas,
        Refusal::NoScripts,
        Refusal::NoWrites,
        Refusal::NoRemovals,
        Refusal::NoDeletions,
        Refusal::NoKeys,
        Refusal::Replica
    )]
    refusal: Refusal,
) {
    let mut app = start().await;
    let deep = async |app: &TestApp| {
        app.clock.advance_seconds(2);
        let answer = app.api.request("GET", "/health?deep=1").send().await;
        answer.ok(200).clone()
    };
    assert_eq!(deep(&app).await["status"], "ok");
    refusal.begin(&mut app).await;
    let report = deep(&app).await;
    assert_eq!(report["status"], "degraded", "{report}");
    assert_eq!(report["parts"][0]["status"], "down", "{report}");
    refusal.end(&mut app).await;
    assert_eq!(deep(&app).await["status"], "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_health_check_writes_a_row_that_expires() {
    let app = start().await;
    let deep = app.api.request("GET", "/health?deep=1").send().await;
    deep.ok(200);
    let row = app.table.item("PROBE", "WRITE").await.unwrap();
    let ttl: i64 = row["ttl"].as_n().unwrap().parse().unwrap();
    let now: jiff::Timestamp = e2e::test_app::START.parse().unwrap();
    assert_eq!(ttl, now.as_second() + 3600);
}

/// An app behind proxies with two cached users.
async fn with_two_users() -> (TestApp, Tokens, Tokens) {
    capture();
    let builder = TestApp::builder(SharedState::Redis).own_redis().proxied();
    let app = builder.set("REDIS_TIMEOUT_MS", "100").start().await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    app.api.info(&alice.access).await.ok(200);
    app.api.info(&bob.access).await.ok(200);
    (app, alice, bob)
}

async fn set(app: &TestApp, fault: Fault) {
    app.proxies().redis.as_ref().unwrap().set(fault).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_and_a_change_right_after_a_hiccup_reach_redis() {
    let (mut app, alice, bob) = with_two_users().await;
    set(&app, Fault::BlackHole).await;
    app.api.info(&alice.access).await.ok(200);
    set(&app, Fault::None).await;
    // Redis is well again, and bypassed.
    app.api.logout(&alice.access).await.ok(200);
    let change = json!({"nickname": "Robert"});
    app.api.change(&bob.access, &change).await.ok(200);
    let cached = cached_session(&mut app, &alice).await;
    assert_eq!(cached.as_deref(), Some("vrevoked"));
    let answer = app.api.info(&alice.access).await;
    answer.fails(401, "session_revoked");
    assert_name(&app.api, &bob, "Robert").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_and_a_change_during_a_hiccup_hold_after_it() {
    let (mut app, alice, bob) = with_two_users().await;
    set(&app, Fault::BlackHole).await;
    app.api.logout(&alice.access).await.ok(200);
    let change = json!({"nickname": "Robert"});
    app.api.change(&bob.access, &change).await.ok(200);
    let cached = cached_session(&mut app, &alice).await;
    assert_eq!(cached.as_deref(), Some("vactive"), "nothing arrived");
    set(&app, Fault::None).await;
    let deadline = std::time::Instant::now() + e2e::PATIENCE;
    loop {
        let answer = app.api.info(&alice.access).await;
        answer.fails(401, "session_revoked");
        assert_name(&app.api, &bob, "Robert").await;
        if app.log_line(&answer)["degraded"] == false {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "Redis is not used");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_long_after_a_failure_uses_redis() {
    let (app, alice, _) = with_two_users().await;
    set(&app, Fault::BlackHole).await;
    let failed = app.api.info(&alice.access).await;
    assert_eq!(app.log_line(&failed)["degraded"], true);
    set(&app, Fault::None).await;
    app.clock.advance_seconds(30);
    let first = app.api.info(&alice.access).await;
    assert_eq!(app.log_line(&first)["degraded"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_used_once_after_a_failure_at_one_of_two_instances() {
    let (mut app, alice, _) = with_two_users().await;
    let direct = app.redis().url();
    let other = app.another_instance_with(&[("REDIS_URL", &direct)]).await;
    set(&app, Fault::BlackHole).await;
    app.api.info(&alice.access).await.ok(200);
    set(&app, Fault::None).await;
    let code = app.code("carol");
    let first = other.login_in(APP_ID, &code).await;
    let again = app.api.login_in(APP_ID, &code).await;
    assert_eq!(
        Tokens::of(&first).session_id(),
        Tokens::of(&again).session_id()
    );
}
