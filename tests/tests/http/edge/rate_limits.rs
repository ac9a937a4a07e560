//! Who may ask how often.

use e2e::{
    http::Answer,
    wire_proxy::{Fault, Traffic, WireProxy},
    world::{
        Plan,
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use rstest::rstest;

/// A limit that nothing comes back of while a test runs.
const TWO: &str = "2/h burst 2";

/// Its own Redis: all tests come from one address.
fn with(state: SharedState, name: &str, limit: &str) -> Plan {
    World::with(state).own_redis().set(name, limit)
}

/// Refused with everything that a client has to know.
#[track_caller]
fn refused(answer: &Answer, policy: &str) {
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
async fn a_user_is_limited_at_all_instances_together(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = with(state, "RATE_LIMIT_USER", TWO).start().await;
    let tokens = world.log_in("alice").await;
    // State in the process is shared within it: a second instance would be another process.
    let other = if state == SharedState::Redis {
        world.another_instance().await
    } else {
        world.api.clone()
    };
    world.api.info(&tokens.access).await.ok(200);
    other.info(&tokens.access).await.ok(200);
    for api in [&world.api, &other] {
        refused(&api.info(&tokens.access).await, "user");
        refused(&api.sessions(&tokens.access).await, "user");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_one_user_is_not_that_of_another(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = with(state, "RATE_LIMIT_USER", TWO).start().await;
    let (alice, bob) = (world.log_in("alice").await, world.log_in("bob").await);
    for _ in 0..2 {
        world.api.info(&alice.access).await.ok(200);
    }
    refused(&world.api.info(&alice.access).await, "user");
    world.api.info(&bob.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_tells_what_is_left(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_USER", "3600/h burst 5")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    let answer = world.api.info(&tokens.access).await;
    answer.ok(200);
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""user";q=5;w=5"#));
    assert_eq!(answer.header("ratelimit"), Some(r#""user";r=4;t=1"#));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_limited_by_address_whatever_the_headers_say(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = with(state, "RATE_LIMIT_GUEST", TWO).start().await;
    let tokens = world.log_in("alice").await;
    for header in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let request = world
            .api
            .request("GET", "/api/v1/user/info")
            .header("x-forwarded-for", header);
        let answer = request
            .header("authorization", "Bearer nonsense")
            .send()
            .await;
        if header == "192.0.2.3" {
            refused(&answer, "guest");
        } else {
            answer.fails(401, "token_invalid");
        }
    }
    refused(
        &world.api.request("GET", "/api/v1/user/info").send().await,
        "guest",
    );
    refused(&world.api.refresh("rt1.nonsense").await, "guest");
    // Whoever is somebody is not held to what strangers at the same address do.
    world.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_are_limited_by_address(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_LOGIN", "2/h burst 2")
        .set("RATE_LIMIT_LOGIN_FAILURE_COST", "1")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    world.log_in("bob").await;
    let code = world.code("carol");
    refused(&world.api.login(&code).await, "login");
    assert_eq!(world.code_calls(), 2);
    world.api.info(&tokens.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_with_an_unknown_code_costs_more(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_LOGIN", "1/h burst 20")
        .start()
        .await;
    world
        .api
        .login("0-guessed-code")
        .await
        .fails(400, "code_invalid");
    world
        .api
        .login("1-guessed-code")
        .await
        .fails(400, "code_invalid");
    refused(&world.api.login("2-guessed-code").await, "login");
    assert_eq!(world.code_calls(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_was_used_costs_no_more_than_any(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = with(state, "RATE_LIMIT_LOGIN", "1/h burst 10")
        .start()
        .await;
    let code = world.code("alice");
    let tokens = Tokens::of(&world.api.login(&code).await);
    world.api.logout(&tokens.access).await.ok(200);
    for _ in 0..9 {
        world.api.login(&code).await.fails(400, "code_used");
    }
    refused(&world.api.login(&code).await, "login");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshes_are_limited_by_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_REFRESH", TWO).start().await;
    let (first, second) = (world.log_in("alice").await, world.log_in("alice").await);
    let once = Tokens::of(&world.api.refresh(&first.refresh).await);
    let twice = Tokens::of(&world.api.refresh(&once.refresh).await);
    refused(&world.api.refresh(&twice.refresh).await, "refresh");
    world.api.refresh(&second.refresh).await.ok(200);
    // A refusal moved nothing: the token is still the current one.
    assert_eq!(
        world.session_row(&first).await["counter"].as_n().unwrap(),
        "2"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_in_shadow_mode_refuses_nobody(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_USER", "2/h burst 2 shadow")
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    for _ in 0..5 {
        let answer = world.api.info(&tokens.access).await;
        answer.ok(200);
        assert_eq!(
            answer.header("ratelimit"),
            None,
            "it is a trial: nobody has to know"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_off_tells_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let world = with(state, "RATE_LIMIT_USER", "off").start().await;
    let tokens = world.log_in("alice").await;
    assert_eq!(
        world
            .api
            .info(&tokens.access)
            .await
            .header("ratelimit-policy"),
        None
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hammers_does_not_reach_redis() {
    let world = with(SharedState::Redis, "RATE_LIMIT_USER", TWO)
        .proxied()
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    for _ in 0..2 {
        world.api.info(&tokens.access).await.ok(200);
    }
    refused(&world.api.info(&tokens.access).await, "user");
    let wire = world.proxies().redis.as_ref().unwrap();
    wire.take_traffic();
    for _ in 0..50 {
        refused(&world.api.info(&tokens.access).await, "user");
    }
    assert_eq!(wire.take_traffic(), Traffic::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let mut world = World::with(SharedState::Redis).own_redis().start().await;
    let tokens = world.log_in("alice").await;
    let mut connection = world.redis().connection().await;
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let answer = world.api.info(&tokens.access).await;
    answer.ok(200);
    assert!(answer.header("ratelimit").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_instance_limits_by_itself() {
    let world = with(SharedState::Redis, "RATE_LIMIT_USER", TWO)
        .proxied()
        .start()
        .await;
    let tokens = world.log_in("alice").await;
    let wire: &WireProxy = world.proxies().redis.as_ref().unwrap();
    wire.set(Fault::Refuse).await;
    wire.cut();
    for _ in 0..2 {
        world.api.info(&tokens.access).await.ok(200);
    }
    refused(&world.api.info(&tokens.access).await, "user");
}
