//! Concurrent events, as Lambda's managed instances deliver them, and one at a time, as all others
//! do.

use std::time::Duration;

use e2e::{http::Answer, runtime_api::FunctionUnderTest, within_patience};
use futures_util::future::join_all;
use wechat_simulator::Fault;

use crate::harness::{LambdaHarness, answer, log_line, login_event, with_id};

const SLOW_MS: u64 = 1500;

/// An instance of login with this concurrency and a slow WeChat.
async fn slow_login(at_once: Option<&str>) -> (LambdaHarness, FunctionUnderTest) {
    let mut harness = LambdaHarness::start().await;
    harness
        .wechat
        .set_faults([Fault {
            latency_ms: Some(SLOW_MS),
            ..Fault::default()
        }])
        .unwrap();
    if let Some(at_once) = at_once {
        harness.settings = harness.settings.with("AWS_LAMBDA_MAX_CONCURRENCY", at_once);
    }
    let login = harness.function("login");
    login.time_to_first_next().await;
    (harness, login)
}

/// Sends these users' logins concurrently. Returns the answers, and the number of calls to WeChat
/// at the time of the first answer.
async fn logins(
    harness: &LambdaHarness,
    login: &FunctionUnderTest,
    people: &[&str],
) -> (Vec<Answer>, u64) {
    let first = tokio::sync::OnceCell::new();
    let answers = people.iter().map(async |person| {
        let answer = answer(login, &with_id(login_event(&harness.code(person)), person)).await;
        first
            .get_or_init(async || harness.code2session_calls())
            .await;
        answer
    });
    let answers = within_patience("the logins", join_all(answers)).await;
    (answers, *first.get().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_instance_processes_events_concurrently() {
    let (harness, login) = slow_login(Some("4")).await;
    let people = ["alice", "bob", "carol", "dave"];
    let (answers, calls) = logins(&harness, &login, &people).await;
    assert_eq!(calls, 4, "all were in flight when the first was answered");
    for (answer, person) in answers.iter().zip(people) {
        answer.ok(200);
        // Each has its own request id.
        assert_eq!(answer.header("x-request-id"), Some(person));
        let line = log_line(&login, person).await;
        assert!(
            line["latency_ms"].as_f64().unwrap()
                >= Duration::from_millis(SLOW_MS).as_secs_f64() * 1e3,
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_instance_processes_one_event_at_a_time() {
    for at_once in [None, Some("1")] {
        let (harness, login) = slow_login(at_once).await;
        let (answers, calls) = logins(&harness, &login, &["alice", "bob"]).await;
        assert_eq!(calls, 1, "{at_once:?}");
        for answer in answers {
            answer.ok(200);
        }
    }
}
