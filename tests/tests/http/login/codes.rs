//! A code of `wx.login` is sent to WeChat once, whoever repeats the call.

use std::time::Duration;

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use wechat_simulator::Fault;

use super::code2session;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_hangs_up_finds_the_session_at_the_next_try(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    world.wechat_fails(Fault {
        latency_ms: Some(600),
        ..Fault::default()
    });
    let code = world.code("alice");
    let hung_up = tokio::time::timeout(Duration::from_millis(200), world.api.login(&code)).await;
    assert!(hung_up.is_err(), "WeChat has not answered yet");
    world.api.login(&code).await.ok(200);
    assert_eq!((world.code_calls(), world.count("SESSION#").await), (1, 1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_code_gets_the_identical_answer_and_is_sent_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let code = world.code("alice");
    let first = world.api.login(&code).await;
    first.ok(200);
    assert_eq!(world.api.login(&code).await.body, first.body);
    assert_eq!(world.api.login_in(APP_ID, &code).await.body, first.body);
    assert_eq!(world.code_calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_calls_with_one_code_open_one_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let code = world.code("alice");
    let answers = join_all((0..50).map(|_| world.api.login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!((world.code_calls(), world.count("SESSION#").await), (1, 1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_an_ended_session_is_used(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let code = world.code("alice");
    let tokens = Tokens::of(&world.api.login(&code).await);
    world.api.logout(&tokens.access).await.ok(200);
    world.api.login(&code).await.fails(400, "code_used");
    assert_eq!(world.code_calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_a_refreshed_session_gets_the_sessions_current_tokens(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let code = world.code("alice");
    let tokens = Tokens::of(&world.api.login(&code).await);
    let refreshed = Tokens::of(&world.api.refresh(&tokens.refresh).await);
    assert_eq!(Tokens::of(&world.api.login(&code).await), refreshed);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_wechat_does_not_know_is_invalid(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    world
        .api
        .login(&unknown_code(&world))
        .await
        .fails(400, "code_invalid");
    assert!(world.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_invalid_after_five_minutes(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let code = world.code("alice");
    world.clock.advance_seconds(300);
    world.api.login(&code).await.fails(400, "code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_mini_program_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    world
        .api
        .login(&world.code_in(OTHER_APP_ID, "alice"))
        .await
        .fails(400, "code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_was_used_elsewhere_is_used(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let code = world.code("alice");
    code2session(&world, &code).await;
    world.api.login(&code).await.fails(400, "code_used");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_code_is_not_sent_again(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let code = unknown_code(&world);
    for _ in 0..2 {
        world.api.login(&code).await.fails(400, "code_invalid");
    }
    assert_eq!(world.code_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_one_code_at_several_instances_open_one_session() {
    let world = World::start(SharedState::Redis).await;
    let instances = [
        world.api.clone(),
        world.another_instance().await,
        world.another_instance().await,
    ];
    let code = world.code("alice");
    let answers: Vec<Answer> = join_all((0..48).map(|at| instances[at % 3].login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!((world.code_calls(), world.count("SESSION#").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_waits_for_the_first_one_as_long_as_wechat_may_take() {
    let world = World::start(SharedState::InProcess).await;
    world.wechat_fails(Fault {
        latency_ms: Some(1000),
        ..Fault::default()
    });
    let code = world.code("alice");
    let second = async {
        called(&world, 1).await;
        world.api.login(&code).await
    };
    let (first, second) = futures_util::join!(world.api.login(&code), second);
    assert_eq!(second.ok(200), first.ok(200));
    assert_eq!(world.code_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_retry_after_it_hung_up_does_not_send_the_code_again() {
    let world = World::start(SharedState::InProcess).await;
    world.wechat_fails(Fault {
        latency_ms: Some(500),
        ..Fault::default()
    });
    let code = world.code("alice");
    tokio::select! {
        answer = world.api.login(&code) => panic!("WeChat answers later: {answer:?}"),
        () = called(&world, 1) => {}
    }
    let retried = world.api.login(&code).await;
    assert!([200, 400, 504].contains(&retried.status), "{retried:?}");
    assert_eq!(world.code_calls(), 1);
}

/// A code that WeChat never gave to anybody, and that no other test knows.
fn unknown_code(world: &World) -> String {
    format!("not-{}", world.code("alice"))
}

/// Returns when code2Session was called so often.
async fn called(world: &World, times: u64) {
    let called = async {
        while world.code_calls() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    e2e::within_patience("the call to WeChat", called).await;
}
