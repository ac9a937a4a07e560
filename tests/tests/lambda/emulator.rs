//! Each function under AWS's own Runtime Interface Emulator.

use e2e::{binaries, http::Answer, rie::Emulator};

use crate::harness::{LambdaHarness, push_sample};

async fn answers(function: &str, event: &str) {
    let harness = LambdaHarness::start().await;
    let (event, _) = harness
        .sample(&harness.function("login"), function, event)
        .await;
    let emulator = Emulator::start(binaries::path(function), harness.settings.variables()).await;
    let answer = Answer::from_lambda(&emulator.invoke(&event).await);
    answer.ok(200);
    assert_eq!(
        answer.header("x-request-id"),
        event["requestContext"]["requestId"].as_str()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_under_the_emulator() {
    answers("health", "deep").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_answers_under_the_emulator() {
    answers("login", "login").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_answers_under_the_emulator() {
    answers("token", "refresh").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_data_answers_under_the_emulator() {
    answers("user-data", "decrypt").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_info_answers_under_the_emulator() {
    answers("user-info", "get").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callback_answers_under_the_emulator() {
    let harness = LambdaHarness::start().await;
    let emulator = Emulator::start(binaries::path("callback"), harness.settings.variables()).await;
    assert_eq!(
        emulator.invoke(&push_sample(&harness, "secure-xml")).await["body"],
        "success"
    );
}
