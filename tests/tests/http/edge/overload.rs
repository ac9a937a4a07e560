//! Too much at once: what is above a limit is refused at once, and the rest is served as ever.

use std::time::Duration;

use e2e::{
    http::Answer,
    within_patience,
    world::{SharedState, Tokens, World},
};
use tokio::task::JoinHandle;
use wechat_simulator::Fault;

/// How long the slow WeChat takes.
const SLOW: Duration = Duration::from_secs(2);

/// A world with these limits and a WeChat that has become slow, in which `count` logins are now
/// waiting for it.
async fn waiting_logins(
    limits: &[(&str, &str)],
    count: u64,
) -> (World, Tokens, Vec<JoinHandle<Answer>>) {
    let plan = limits.iter().fold(
        World::with(SharedState::InProcess),
        |plan, (name, value)| plan.set(name, value),
    );
    let world = plan.start().await;
    let tokens = world.log_in("alice").await;
    let latency_ms = Some(u64::try_from(SLOW.as_millis()).unwrap());
    world.wechat_fails(Fault {
        latency_ms,
        ..Fault::default()
    });
    let before = world.code_calls();
    let logins = (0..count).map(|number| {
        let (api, code) = (world.api.clone(), world.code(&format!("slow-{number}")));
        tokio::spawn(async move { api.login(&code).await })
    });
    let logins = logins.collect();
    within_patience("the calls to WeChat", async {
        while world.code_calls() < before + count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    (world, tokens, logins)
}

/// Refused while the others were still waiting: it did not stand in a queue.
fn refused_at_once(answer: &Answer, waiting: &[JoinHandle<Answer>]) {
    answer.fails(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    assert!(waiting.iter().all(|login| !login.is_finished()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_wechat_holds_up_so_many_logins_and_nothing_else() {
    let (world, tokens, waiting) = waiting_logins(&[("WECHAT_MAX_CONCURRENCY", "3")], 3).await;
    let code = world.code("bob");
    refused_at_once(&world.api.login(&code).await, &waiting);
    world.api.info(&tokens.access).await.ok(200);
    world.api.refresh(&tokens.refresh).await.ok(200);
    assert!(waiting.iter().all(|login| !login.is_finished()));
    for login in waiting {
        login.await.unwrap().ok(200);
    }
    // The code was not sent, so it is good still.
    world.wechat.clear_faults();
    world.api.login(&code).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_full_refuses_all_but_health() {
    let (world, tokens, waiting) = waiting_logins(&[("MAX_CONCURRENCY", "2")], 2).await;
    refused_at_once(&world.api.info(&tokens.access).await, &waiting);
    refused_at_once(
        &world.api.request("GET", "/health?deep=1").send().await,
        &waiting,
    );
    world.api.request("GET", "/health").send().await.ok(200);
    for login in waiting {
        login.await.unwrap().ok(200);
    }
    world.api.info(&tokens.access).await.ok(200);
}

/// A caller who hangs up leaves no place taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_given_up_frees_its_place() {
    let (world, tokens, waiting) = waiting_logins(&[("MAX_CONCURRENCY", "1")], 1).await;
    for login in waiting {
        login.abort();
    }
    within_patience("a free place", async {
        while world.api.info(&tokens.access).await.status == 503 {}
    })
    .await;
    world.api.info(&tokens.access).await.ok(200);
}
