//! Deliveries that are given up, and what administrators can do about them.

use std::time::Duration;

use e2e::webhooks::{Behaviour, Receiver};
use serde_json::{Value, json};

use super::{World, receiver};

impl World {
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
    let world = World::start(&json!([receiver("down", &down)])).await;
    let root = world.app.administrator("root").await.access;
    let event = world.announce("user.created", "a").await;
    world.work().await;
    let mut hours = 0;
    while !world.app.queue().is_empty() {
        assert!(hours < 24 * 4, "still tried after {hours} hours");
        world.work_after(Duration::from_hours(1)).await;
        hours += 1;
    }
    assert!(hours >= 72, "given up after {hours} hours");
    let attempts = down.hooks().len();
    assert!((8..30).contains(&attempts), "{attempts} attempts");

    // Access tokens have expired meanwhile.
    assert_ne!(root, "");
    let root = world.app.log_in("root").await.access;
    let failures = world.failures(&root).await;
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
    let redeliver = || world.app.api.request("POST", &path).bearer(&root);
    assert_eq!(redeliver().send().await.ok(202)["status"], "queued");
    redeliver().send().await.fails(404, "not_found");
    world.work().await;
    let hooks = down.hooks();
    assert_eq!(hooks.len(), attempts + 1);
    assert_eq!(hooks[attempts].id(), event.id);
    assert_eq!(hooks[attempts].body, event.payload);
    assert_eq!(world.failures(&root).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_answers_410_is_given_up_at_once() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let world = World::start(&json!([receiver("gone", &gone)])).await;
    world.announce("user.created", "a").await;
    world.work().await;
    assert!(world.app.queue().is_empty());
    let root = world.app.administrator("root").await.access;
    let failures = world.failures(&root).await;
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
    let world = World::start_with(&json!([named]), &changes).await;
    world.announce("user.created", "a").await;
    world.work().await;
    // Past the rest, and past the time in which it is tried.
    world.work_after(Duration::from_mins(2)).await;
    assert!(world.app.queue().is_empty());
    assert!(inside.hooks().is_empty());
    let root = world.app.administrator("root").await.access;
    let failures = world.failures(&root).await;
    assert_eq!(failures[0]["reason"], "not a public address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_nothing_is_redelivered() {
    let gone = Receiver::start().await;
    gone.set(Behaviour::status(410));
    let world = World::start(&json!([receiver("gone", &gone)])).await;
    world.announce("user.created", "a").await;
    world.work().await;
    let root = world.app.administrator("root").await.access;
    let id = world.failures(&root).await[0]["id"].clone();
    let without = world
        .app
        .another_instance_with(&[("WEBHOOK_QUEUE_URL", "")])
        .await;
    let path = format!(
        "/api/v1/webhooks/failures/{}/redeliver",
        id.as_str().unwrap()
    );
    let answer = without.request("POST", &path).bearer(&root).send().await;
    answer.fails(501, "not_configured");
    assert_eq!(world.failures(&root).await.len(), 1);
}
