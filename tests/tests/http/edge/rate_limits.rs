//! Rate limits.

use e2e::{
    http::Answer,
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, TestAppBuilder, Tokens,
    },
    wire_proxy::{Fault, Traffic, WireProxy},
};
use rstest::rstest;

/// A limit that does not refill while a test runs.
const TWO: &str = "2/h burst 2";

fn with(state: SharedState, name: &str, limit: &str) -> TestAppBuilder {
    TestApp::builder(state).set(name, limit)
}

/// Asserts a 429 with all headers that a client needs.
#[track_caller]
fn assert_refused(answer: &Answer, policy: &str) {
    answer.fails(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{answer:?}");
    assert!(
        answer
            .header("ratelimit-policy")
            .unwrap()
            .starts_with(&format!("\"{policy}\";q=")),
        "{answer:?}"
    );
    assert!(
        answer
            .header("ratelimit")
            .unwrap()
            .starts_with(&format!("\"{policy}\";r=")),
        "{answer:?}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_limit_is_shared_by_all_instances(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_USER", TWO).start().await;
    let tokens = app.log_in("alice").await;
    // In-process state is not shared: a second instance would be another process.
    let other = if state == SharedState::Redis {
        app.another_instance().await
    } else {
        app.api.clone()
    };
    app.api.info(&tokens.access).await.ok(200);
    other.info(&tokens.access).await.ok(200);
    for api in [&app.api, &other] {
        assert_refused(&api.info(&tokens.access).await, "user");
        assert_refused(&api.sessions(&tokens.access).await, "user");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_has_a_separate_limit(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_USER", TWO).start().await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    for _ in 0..2 {
        app.api.info(&alice.access).await.ok(200);
    }
    assert_refused(&app.api.info(&alice.access).await, "user");
    app.api.info(&bob.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_carries_ratelimit_headers(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_USER", "3600/h burst 5")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let answer = app.api.info(&tokens.access).await;
    answer.ok(200);
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""user";q=5;w=5"#));
    assert_eq!(answer.header("ratelimit"), Some(r#""user";r=4;t=1"#));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unauthenticated_requests_are_limited_by_peer_address(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_GUEST", TWO).start().await;
    let tokens = app.log_in("alice").await;
    for header in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let request = app
            .api
            .request("GET", "/api/v1/user/info")
            .header("x-forwarded-for", header);
        let answer = request
            .header("authorization", "Bearer nonsense")
            .send()
            .await;
        if header == "192.0.2.3" {
            assert_refused(&answer, "guest");
        } else {
            answer.fails(401, "token_invalid");
        }
    }
    assert_refused(
        &app.api.request("GET", "/api/v1/user/info").send().await,
        "guest",
    );
    assert_refused(&app.api.refresh("rt1.nonsense").await, "guest");
    // An authenticated user is not affected by strangers at the same address.
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_limited_by_address(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_LOGIN", TWO).start().await;
    let tokens = app.log_in("alice").await;
    app.log_in("bob").await;
    let code = app.code("carol");
    assert_refused(&app.api.login(&code).await, "login");
    assert_eq!(app.code2session_calls(), 2);
    app.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_codes_do_not_lock_out_good_logins_behind_the_same_address(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_LOGIN_FAILURES", TWO).start().await;
    for guess in 0..2 {
        let answer = app.api.login(&format!("{guess}-guessed-code")).await;
        answer.fails(400, "code_invalid");
    }
    for guess in 2..20 {
        let answer = app.api.login(&format!("{guess}-guessed-code")).await;
        assert_refused(&answer, "login-failures");
    }
    for person in ["alice", "bob"] {
        app.log_in(person).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_codes_count_as_logins_so_that_wechats_quota_lasts(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_LOGIN", TWO).start().await;
    for guess in 0..2 {
        let answer = app.api.login(&format!("{guess}-guessed-code")).await;
        answer.fails(400, "code_invalid");
    }
    for guess in 2..10 {
        let answer = app.api.login(&format!("{guess}-guessed-code")).await;
        assert_refused(&answer, "login");
    }
    assert_eq!(app.code2session_calls(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_code_is_no_failed_login(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_LOGIN_FAILURES", TWO).start().await;
    let code = app.code("alice");
    let tokens = Tokens::of(&app.api.login(&code).await);
    app.api.logout(&tokens.access).await.ok(200);
    for _ in 0..9 {
        app.api.login(&code).await.fails(400, "code_used");
    }
}

/// Instances that share their state, as far as that is possible.
async fn instances(app: &TestApp, state: SharedState) -> Vec<Api> {
    let mut instances = vec![app.api.clone()];
    if state == SharedState::Redis {
        for _ in 0..2 {
            instances.push(app.another_instance().await);
        }
    }
    instances
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_takes_nothing_from_its_owner(#[values(InProcess, Redis)] state: SharedState) {
    // What the owner sends here is exactly what the limit allows.
    let app = with(state, "RATE_LIMIT_USER", "8/h burst 8").start().await;
    let (stolen, own) = (app.log_in("alice").await, app.log_in("alice").await);
    let instances = instances(&app, state).await;
    let mut left = 8;
    // Every instance has just seen the stolen session alive.
    for api in &instances {
        api.info(&stolen.access).await.ok(200);
        left -= 1;
    }
    app.api.logout(&stolen.access).await.ok(200);
    left -= 1;
    for _ in 0..4 {
        for api in &instances {
            for answer in [
                api.info(&stolen.access).await,
                api.sessions(&stolen.access).await,
            ] {
                assert!([401, 429].contains(&answer.status), "{answer:?}");
            }
        }
    }
    for _ in 0..left {
        instances[0].info(&own.access).await.ok(200);
    }
    assert_refused(&instances[0].info(&own.access).await, "user");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_a_dead_token_are_charged_to_their_address(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_GUEST", TWO).start().await;
    let (dead, own) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout(&dead.access).await.ok(200);
    for _ in 0..2 {
        let answer = app.api.info(&dead.access).await;
        answer.fails(401, "session_revoked");
    }
    assert_refused(&app.api.info(&dead.access).await, "guest");
    app.api.info(&own.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_has_a_limit_whatever_address_it_comes_from(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_USER", "4/h burst 4")
        .set("RATE_LIMIT_GUEST", "off")
        .start()
        .await;
    let (dead, own) = (app.log_in("alice").await, app.log_in("alice").await);
    app.api.logout(&dead.access).await.ok(200);
    let mut ended = 0;
    while app.api.info(&dead.access).await.status == 401 {
        ended += 1;
    }
    assert!((1..=4).contains(&ended), "{ended}");
    assert_refused(&app.api.info(&dead.access).await, "session");
    for _ in 0..3 {
        app.api.info(&own.access).await.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_refreshes_are_charged_to_their_address(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_GUEST", "3/h burst 3").start().await;
    let tokens = app.log_in("alice").await;
    let malformed = async |body: &str| {
        let request = app
            .api
            .request("POST", "/api/v1/user/refresh")
            .header("content-type", "application/json");
        request.body(body).send().await
    };
    malformed("{").await.fails_at(&[""]);
    malformed(r#"{"refreshToken":""}"#)
        .await
        .fails_at(&["refreshToken"]);
    malformed(r#"{"refreshToken":1}"#)
        .await
        .fails_at(&["refreshToken"]);
    assert_refused(&malformed("{").await, "guest");
    app.api.refresh(&tokens.refresh).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_health_checks_are_limited_by_address(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_GUEST", TWO).start().await;
    let health = async |path: &str| app.api.request("GET", path).send().await;
    for _ in 0..2 {
        health("/health?deep=1").await.ok(200);
    }
    assert_refused(&health("/health?deep=1").await, "guest");
    health("/health").await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deep_health_checks_are_one_probe(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state).proxied().start().await;
    let health = async || app.api.request("GET", "/health?deep=1").send().await;
    health().await.ok(200);
    app.clock.advance_seconds(1);
    app.proxies().dynamodb.take_traffic();
    for _ in 0..5 {
        health().await.ok(200);
    }
    let probes = app.proxies().dynamodb.take_traffic().commands.len();
    app.clock.advance_seconds(1);
    health().await.ok(200);
    assert_eq!(app.proxies().dynamodb.take_traffic().commands.len(), probes);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_are_limited_by_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_REFRESH", TWO).start().await;
    let (first, second) = (app.log_in("alice").await, app.log_in("alice").await);
    let once = Tokens::of(&app.api.refresh(&first.refresh).await);
    let twice = Tokens::of(&app.api.refresh(&once.refresh).await);
    assert_refused(&app.api.refresh(&twice.refresh).await, "refresh");
    app.api.refresh(&second.refresh).await.ok(200);
    // The refusal did not rotate the token.
    assert_eq!(
        app.session_row(&first).await["counter"].as_n().unwrap(),
        "2"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_in_shadow_mode_refuses_no_request(#[values(InProcess, Redis)] state: SharedState) {
    let app = with(state, "RATE_LIMIT_USER", "2/h burst 2 shadow")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    for _ in 0..5 {
        let answer = app.api.info(&tokens.access).await;
        answer.ok(200);
        assert_eq!(
            answer.header("ratelimit"),
            None,
            "shadow mode is invisible to clients"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_limit_sends_no_ratelimit_headers(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = with(state, "RATE_LIMIT_USER", "off").start().await;
    let tokens = app.log_in("alice").await;
    assert_eq!(
        app.api
            .info(&tokens.access)
            .await
            .header("ratelimit-policy"),
        None
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_denials_do_not_reach_redis() {
    let app = with(SharedState::Redis, "RATE_LIMIT_USER", TWO)
        .proxied()
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    for _ in 0..2 {
        app.api.info(&tokens.access).await.ok(200);
    }
    assert_refused(&app.api.info(&tokens.access).await, "user");
    let wire = app.proxies().redis.as_ref().unwrap();
    wire.take_traffic();
    for _ in 0..50 {
        assert_refused(&app.api.info(&tokens.access).await, "user");
    }
    assert_eq!(wire.take_traffic(), Traffic::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_reloaded_after_a_script_flush() {
    let mut app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let mut connection = app.redis().connection().await;
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let answer = app.api.info(&tokens.access).await;
    answer.ok(200);
    assert!(answer.header("ratelimit").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_instance_limits_by_itself() {
    let app = with(SharedState::Redis, "RATE_LIMIT_USER", TWO)
        .proxied()
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let wire: &WireProxy = app.proxies().redis.as_ref().unwrap();
    wire.set(Fault::Refuse).await;
    wire.cut();
    for _ in 0..2 {
        app.api.info(&tokens.access).await.ok(200);
    }
    assert_refused(&app.api.info(&tokens.access).await, "user");
}
