//! A code of `wx.login` is sent to WeChat only once, however often the call is repeated.

use std::time::Duration;

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use wechat_simulator::Fault;

use super::code2session;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_disconnect_finds_the_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    app.fail_code2session(Fault {
        latency_ms: Some(600),
        ..Fault::default()
    });
    let code = app.code("alice");
    let hung_up = tokio::time::timeout(Duration::from_millis(200), app.api.login(&code)).await;
    assert!(hung_up.is_err(), "WeChat has not answered yet");
    app.api.login(&code).await.ok(200);
    assert_eq!(
        (app.code2session_calls(), app.count("SESSION#").await),
        (1, 1)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_code_gets_the_identical_answer_and_is_sent_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    let first = app.api.login(&code).await;
    first.ok(200);
    assert_eq!(app.api.login(&code).await.body, first.body);
    assert_eq!(app.api.login_in(APP_ID, &code).await.body, first.body);
    assert_eq!(app.code2session_calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_calls_with_one_code_open_one_session(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    let answers = join_all((0..50).map(|_| app.api.login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!(
        (app.code2session_calls(), app.count("SESSION#").await),
        (1, 1)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_an_ended_session_counts_as_used(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    let tokens = Tokens::of(&app.api.login(&code).await);
    app.api.logout(&tokens.access).await.ok(200);
    app.api.login(&code).await.fails(400, "code_used");
    assert_eq!(app.code2session_calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_a_refreshed_session_counts_as_used(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    let tokens = Tokens::of(&app.api.login(&code).await);
    let refreshed = Tokens::of(&app.api.refresh(&tokens.refresh).await);
    app.api.login(&code).await.fails(400, "code_used");
    assert_eq!(app.code2session_calls(), 1);
    // The session goes on.
    Tokens::of(&app.api.refresh(&refreshed.refresh).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_unknown_to_wechat_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.api
        .login(&unknown_code(&app))
        .await
        .fails(400, "code_invalid");
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_invalid_after_five_minutes(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    app.clock.advance_seconds(300);
    app.api.login(&code).await.fails(400, "code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_mini_program_is_invalid(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.api
        .login(&app.code_in(OTHER_APP_ID, "alice"))
        .await
        .fails(400, "code_invalid");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_redeemed_elsewhere_counts_as_used(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    code2session(&app, &code).await;
    app.api.login(&code).await.fails(400, "code_used");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_code_is_not_sent_again(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let code = unknown_code(&app);
    for _ in 0..2 {
        app.api.login(&code).await.fails(400, "code_invalid");
    }
    assert_eq!(app.code2session_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_with_one_code_at_several_instances_open_one_session() {
    let app = TestApp::start(SharedState::Redis).await;
    let instances = [
        app.api.clone(),
        app.another_instance().await,
        app.another_instance().await,
    ];
    let code = app.code("alice");
    let answers: Vec<Answer> = join_all((0..48).map(|at| instances[at % 3].login(&code))).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
    }
    assert_eq!(
        (app.code2session_calls(), app.count("SESSION#").await),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_call_waits_for_the_first_ones_outcome() {
    let app = TestApp::start(SharedState::InProcess).await;
    app.fail_code2session(Fault {
        latency_ms: Some(1000),
        ..Fault::default()
    });
    let code = app.code("alice");
    let second = async {
        called(&app, 1).await;
        app.api.login(&code).await
    };
    let (first, second) = futures_util::join!(app.api.login(&code), second);
    assert_eq!(second.ok(200), first.ok(200));
    assert_eq!(app.code2session_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_disconnect_does_not_send_the_code_again() {
    let app = TestApp::start(SharedState::InProcess).await;
    app.fail_code2session(Fault {
        latency_ms: Some(500),
        ..Fault::default()
    });
    let code = app.code("alice");
    tokio::select! {
        answer = app.api.login(&code) => panic!("WeChat answers later: {answer:?}"),
        () = called(&app, 1) => {}
    }
    let retried = app.api.login(&code).await;
    assert!([200, 400, 504].contains(&retried.status), "{retried:?}");
    assert_eq!(app.code2session_calls(), 1);
}

/// A unique code that WeChat never issued.
fn unknown_code(app: &TestApp) -> String {
    format!("not-{}", app.code("alice"))
}

/// Waits until code2Session was called this often.
async fn called(app: &TestApp, times: u64) {
    let called = async {
        while app.code2session_calls() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    e2e::within_patience("the call to WeChat", called).await;
}
