//! Overload: requests above a concurrency limit are refused immediately, and the others are served.

use std::time::Duration;

use e2e::{
    http::Answer,
    test_app::{SharedState, TestApp, Tokens},
    within_patience,
};
use tokio::task::JoinHandle;
use wechat_simulator::Fault;

/// How long the slow WeChat takes.
const SLOW: Duration = Duration::from_secs(2);

/// An app with these limits and a slow WeChat, for which `count` logins are now waiting.
async fn waiting_logins(
    limits: &[(&str, &str)],
    count: u64,
) -> (TestApp, Tokens, Vec<JoinHandle<Answer>>) {
    let builder = limits.iter().fold(
        TestApp::builder(SharedState::InProcess),
        |builder, (name, value)| builder.set(name, value),
    );
    let app = builder.start().await;
    let tokens = app.log_in("alice").await;
    let latency_ms = Some(u64::try_from(SLOW.as_millis()).unwrap());
    app.fail_code2session(Fault {
        latency_ms,
        ..Fault::default()
    });
    let before = app.code2session_calls();
    let logins = (0..count).map(|number| {
        let (api, code) = (app.api.clone(), app.code(&format!("slow-{number}")));
        tokio::spawn(async move { api.login(&code).await })
    });
    let logins = logins.collect();
    within_patience("the calls to WeChat", async {
        while app.code2session_calls() < before + count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    (app, tokens, logins)
}

/// Asserts a refusal while the others were still waiting: it was not queued.
fn assert_refused_at_once(answer: &Answer, waiting: &[JoinHandle<Answer>]) {
    answer.fails(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert!(waiting.iter().all(|login| !login.is_finished()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_wechat_holds_up_a_limited_number_of_logins() {
    let (app, tokens, waiting) = waiting_logins(&[("WECHAT_MAX_CONCURRENCY", "3")], 3).await;
    let code = app.code("bob");
    assert_refused_at_once(&app.api.login(&code).await, &waiting);
    app.api.info(&tokens.access).await.ok(200);
    app.api.refresh(&tokens.refresh).await.ok(200);
    assert!(waiting.iter().all(|login| !login.is_finished()));
    for login in waiting {
        login.await.unwrap().ok(200);
    }
    // The code was not sent, so it is still valid.
    app.wechat.clear_faults();
    app.api.login(&code).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_at_capacity_refuses_all_but_health_checks() {
    let (app, tokens, waiting) = waiting_logins(&[("MAX_CONCURRENCY", "2")], 2).await;
    assert_refused_at_once(&app.api.info(&tokens.access).await, &waiting);
    assert_refused_at_once(
        &app.api.request("GET", "/health?deep=1").send().await,
        &waiting,
    );
    app.api.request("GET", "/health").send().await.ok(200);
    for login in waiting {
        login.await.unwrap().ok(200);
    }
    app.api.info(&tokens.access).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_request_frees_its_slot() {
    let (app, tokens, waiting) = waiting_logins(&[("MAX_CONCURRENCY", "1")], 1).await;
    for login in waiting {
        login.abort();
    }
    within_patience("a free slot", async {
        while app.api.info(&tokens.access).await.status == 503 {}
    })
    .await;
    app.api.info(&tokens.access).await.ok(200);
}
