//! Several events at once, as Lambda's managed instances hand them out, and one at a time, as all
//! others do.

use std::time::Duration;

use e2e::{http::Answer, runtime_api::FunctionUnderTest, within_patience};
use futures_util::future::join_all;
use wechat_simulator::Fault;

use crate::harness::{Stage, answer, log_line, login_event, with_id};

const SLOW_MS: u64 = 1500;

/// An instance of login that is given so many events at once, in front of a slow WeChat.
async fn slow_login(at_once: Option<&str>) -> (Stage, FunctionUnderTest) {
    let mut stage = Stage::start().await;
    stage
        .wechat
        .set_faults([Fault {
            latency_ms: Some(SLOW_MS),
            ..Fault::default()
        }])
        .unwrap();
    if let Some(at_once) = at_once {
        stage.settings = stage.settings.with("AWS_LAMBDA_MAX_CONCURRENCY", at_once);
    }
    let login = stage.function("login");
    login.time_to_first_next().await;
    (stage, login)
}

/// Hands these people's logins over at once; returns the answers, and how often WeChat had been
/// called when the first one came.
async fn logins(stage: &Stage, login: &FunctionUnderTest, people: &[&str]) -> (Vec<Answer>, u64) {
    let first = tokio::sync::OnceCell::new();
    let answers = people.iter().map(async |person| {
        let answer = answer(login, &with_id(login_event(&stage.code(person)), person)).await;
        first.get_or_init(async || stage.code_calls()).await;
        answer
    });
    let answers = within_patience("the logins", join_all(answers)).await;
    (answers, *first.get().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_instance_works_on_several_events_at_once() {
    let (stage, login) = slow_login(Some("4")).await;
    let people = ["alice", "bob", "carol", "dave"];
    let (answers, calls) = logins(&stage, &login, &people).await;
    assert_eq!(calls, 4, "all were under way when the first was answered");
    for (answer, person) in answers.iter().zip(people) {
        answer.ok(200);
        // Each under its own id, whoever else was there.
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
async fn any_other_instance_works_on_one_event_at_a_time() {
    for at_once in [None, Some("1")] {
        let (stage, login) = slow_login(at_once).await;
        let (answers, calls) = logins(&stage, &login, &["alice", "bob"]).await;
        assert_eq!(calls, 1, "{at_once:?}");
        for answer in answers {
            answer.ok(200);
        }
    }
}
