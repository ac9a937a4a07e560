//! Deliveries that are given up, and what administrators can do about them.

use std::time::Duration;

use e2e::webhooks::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::{Fixture, receiver};

impl Fixture {
    /// What administrators see.
    async fn failures(&self, token: &str) -> Vec<Value> {
        let list = self.app.api.request("GET", "/api/v1/webhooks/failures");
        let answer = list.bearer(token).send().await;
        answer.ok(200)["failures"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_tried_for_days_then_given_up_and_can_be_repeated() {
    let down = Receiver::start().await;
    down.set(Behaviour::status(503));
    let fixture = Fixture::start(&json!([receiver("down", &down)])).await;
    let root = fixture.app.administrator("root").await.access;
    let event = fixture.announce("user.created", "a").await;
    fixture.work().await;
    let mut hours = 0;
    while fixture.given_up().await.is_empty() {
        assert!(hours < 24 * 4, "still tried after {hours} hours");
        fixture.work_after(Duration::from_hours(1)).await;
        hours += 1;
    }
    assert!(hours >= 72, "given up after {hours} hours");
    let attempts = down.hooks().len();
    assert!((8..30).contains(&attempts), "{attempts} attempts");

    // Access tokens have expired meanwhile.
    assert_ne!(root, "");
    let root = fixture.app.log_in("root").await.access;
    let failures = fixture.failures(&root).await;
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    assert_eq!(failure["receiver"], "down");
    assert_eq!(failure["eventId"], event.id);
    assert_eq!(failure["eventType"], "user.created");
    assert_eq!(failure["reason"], "status 503");

    down.set(Behaviour::status(204));
    let id = failure["id"].as_str().unwrap();
    let path = format!("/api/v1/webhooks/failures/{id}/redeliver");
    let redeliver = || fixture.app.api.request("POST", &path).bearer(&root);
    assert_eq!(redeliver().send().await.ok(202)["status"], "queued");
    assert_eq!(fixture.failures(&root).await.len(), 1, "nobody has it yet");
    fixture.work().await;
    redeliver().send().await.fails(404, "not_found");
    let hooks = down.hooks();
    assert_eq!(hooks.len(), attempts + 1);
    assert_eq!(hooks[attempts].id(), event.id);
    assert_eq!(hooks[attempts].body, event.payload);
    assert_eq!(fixture.failures(&root).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_answers_410_is_given_up_at_once() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let fixture = Fixture::start(&json!([receiver("gone", &gone)])).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    assert!(fixture.app.queue().is_empty());
    let root = fixture.app.administrator("root").await.access;
    let failures = fixture.failures(&root).await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["reason"], "status 410");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_a_private_address_is_not_called() {
    let inside = Receiver::start().await;
    let port = inside.address.rsplit(':').next().unwrap();
    let mut named = receiver("named", &inside);
    named["url"] = json!(format!("https://localhost:{port}/"));
    let changes = [
        ("WEBHOOK_PRIVATE_NETWORKS", "10.0.0.0/8"),
        ("WEBHOOK_RETRY_SECONDS", "60"),
    ];
    let fixture = Fixture::start_with(&json!([named]), &changes).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    // Past the rest, and past the time in which it is tried.
    fixture.work_after(Duration::from_mins(2)).await;
    assert!(fixture.app.queue().is_empty());
    assert_eq!(inside.connections(), 0);
    let root = fixture.app.administrator("root").await.access;
    let failures = fixture.failures(&root).await;
    assert_eq!(failures[0]["reason"], "not a public address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_nothing_is_redelivered() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let fixture = Fixture::start(&json!([receiver("gone", &gone)])).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    let root = fixture.app.administrator("root").await.access;
    let id = fixture.failures(&root).await[0]["id"].clone();
    let without = fixture
        .app
        .another_instance_with(&[("WEBHOOK_QUEUE_URL", "")])
        .await;
    let path = format!(
        "/api/v1/webhooks/failures/{}/redeliver",
        id.as_str().unwrap()
    );
    let answer = without.request("POST", &path).bearer(&root).send().await;
    answer.fails(501, "not_configured");
    assert_eq!(fixture.failures(&root).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redelivery_that_nobody_gets_stays_listed() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let fixture = Fixture::start(&json!([receiver("gone", &gone)])).await;
    let event = fixture.announce("user.created", "a").await;
    fixture.work().await;
    let root = fixture.app.administrator("root").await.access;
    let failures = fixture.failures(&root).await;
    let path = format!(
        "/api/v1/webhooks/failures/{}/redeliver",
        failures[0]["id"].as_str().unwrap()
    );
    let redeliver = || fixture.app.api.request("POST", &path).bearer(&root);
    // To a function in whose configuration the receiver is missing.
    redeliver().send().await.ok(202);
    let without = fixture.another_poller(&[("WEBHOOKS", "[]")]);
    without.run_once().await;
    fixture.app.clock.advance_seconds(16 * 60);
    without.run_once().await;
    assert!(fixture.app.queue().is_empty());
    let failures = fixture.failures(&root).await;
    assert_eq!(failures[0]["reason"], "not configured");
    // To a receiver that fails again, and gets it at last.
    redeliver().send().await.ok(202);
    gone.set(Behaviour::status(500));
    fixture.work().await;
    assert_eq!(fixture.failures(&root).await.len(), 1);
    gone.set(Behaviour::status(204));
    fixture.work_after(Duration::from_mins(5)).await;
    assert_eq!(gone.hooks().last().unwrap().id(), event.id);
    assert_eq!(fixture.failures(&root).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_listed_page_by_page_and_by_receiver() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let receivers = json!([receiver("one", &gone), receiver("other", &gone)]);
    let fixture = Fixture::start(&receivers).await;
    for source in ["a", "b", "c"] {
        fixture.announce("user.created", source).await;
        fixture.work_after(Duration::from_secs(1)).await;
    }
    let root = fixture.app.administrator("root").await.access;
    for (query, expected) in [("", 6), ("receiver=other&", 3), ("receiver=none&", 0)] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/webhooks/failures?{query}limit=2{cursor}");
            let answer = fixture
                .app
                .api
                .request("GET", &path)
                .bearer(&root)
                .send()
                .await;
            let page = answer.ok(200);
            found.extend(page["failures"].as_array().unwrap().clone());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found.len(), expected, "{query}");
        let mut times: Vec<_> = found
            .iter()
            .map(|it| it["failedAt"].as_str().unwrap())
            .collect();
        times.reverse();
        assert!(times.is_sorted(), "{times:?}");
    }
    let list = "/api/v1/webhooks/failures?cursor=x";
    let answer = fixture
        .app
        .api
        .request("GET", list)
        .bearer(&root)
        .send()
        .await;
    answer.fails(400, "invalid_request");
}
