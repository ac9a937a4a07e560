//! Several processes of one function at the same time, as Lambda runs them.

use std::{collections::BTreeSet, time::Duration};

use e2e::{runtime_api::FunctionUnderTest, test_app::Tokens};
use futures_util::future::join_all;
use wechat_simulator::Fault;

use crate::harness::{LambdaHarness, answer, info_event, login_event, logout_event, refresh_event};

fn instances(harness: &LambdaHarness, function: &str, count: usize) -> Vec<FunctionUnderTest> {
    (0..count).map(|_| harness.function(function)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_code_at_two_instances_opens_one_session() {
    let harness = LambdaHarness::start().await;
    // So that both instances process it at the same time.
    harness
        .wechat
        .set_faults([Fault {
            latency_ms: Some(300),
            ..Fault::default()
        }])
        .unwrap();
    let logins = instances(&harness, "login", 2);
    for instance in &logins {
        instance.time_to_first_next().await;
    }
    let event = login_event(&harness.code("alice"));
    let answers = join_all(logins.iter().map(|login| answer(login, &event))).await;
    let tokens: Vec<_> = answers.iter().map(Tokens::of).collect();
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(harness.code2session_calls(), 1);
    assert_eq!(
        harness
            .table
            .partition(&format!("USER#{}", tokens[0].user_id()))
            .await
            .len(),
        2,
        "user and session"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_first_logins_at_five_instances_create_one_user() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("MAX_SESSIONS", "100");
    let logins = instances(&harness, "login", 5);
    let events: Vec<_> = (0..50)
        .map(|_| login_event(&harness.code("alice")))
        .collect();
    let answers = join_all(
        events
            .iter()
            .zip(logins.iter().cycle())
            .map(|(event, login)| answer(login, event)),
    )
    .await;
    let tokens: Vec<_> = answers.iter().map(Tokens::of).collect();
    let users: BTreeSet<_> = tokens.iter().map(Tokens::user_id).collect();
    assert_eq!(users.len(), 1);
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.data()["isNewUser"] == true)
            .count(),
        1
    );
    let rows = harness.table.items_under("USER#").await;
    assert_eq!(
        rows.iter()
            .filter(|row| row["sk"].as_s().unwrap() == "PROFILE")
            .count(),
        1
    );
    assert_eq!(rows.len(), 51, "the user and fifty sessions");
    assert_eq!(harness.table.items_under("WX#").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_refreshes_at_four_instances_get_the_identical_successor() {
    let harness = LambdaHarness::start().await;
    let first = harness.log_in(&harness.function("login"), "alice").await;
    let functions = instances(&harness, "token", 4);
    let event = refresh_event(&first.refresh);
    let answers = join_all((0..100).map(|n| answer(&functions[n % 4], &event))).await;
    let successors: Vec<_> = answers.iter().map(Tokens::of).collect();
    assert_ne!(successors[0], first);
    assert!(successors.iter().all(|tokens| *tokens == successors[0]));
    answer(&functions[0], &refresh_event(&successors[0].refresh))
        .await
        .ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ended_at_one_instance_is_ended_at_all() {
    let harness = LambdaHarness::start().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let readers = instances(&harness, "user-info", 2);
    for reader in &readers {
        answer(reader, &info_event(&tokens)).await.ok(200);
    }
    answer(&harness.function("token"), &logout_event(&tokens))
        .await
        .ok(200);
    for reader in &readers {
        answer(reader, &info_event(&tokens))
            .await
            .fails(401, "session_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_not_resent_after_its_instance_dies() {
    let harness = LambdaHarness::start().await;
    harness
        .wechat
        .set_faults([Fault {
            latency_ms: Some(10_000),
            ..Fault::default()
        }])
        .unwrap();
    let event = login_event(&harness.code("alice"));
    let dying = harness.function("login");
    let other = harness.function("login");
    {
        let lost = answer(&dying, &event);
        tokio::select! {
            answer = lost => panic!("WeChat answers later: {answer:?}"),
            () = called(&harness, 1) => {}
        }
    }
    dying.process().kill();
    harness.wechat.clear_faults();
    answer(&other, &event).await.fails(504, "upstream_timeout");
    assert_eq!(harness.code2session_calls(), 1);
}

/// Awaits that code2Session was called this often.
async fn called(harness: &LambdaHarness, times: u64) {
    e2e::within_patience("the call of code2Session", async {
        while harness.code2session_calls() < times {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
