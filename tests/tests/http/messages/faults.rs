//! The queue fails.

use std::time::Duration;

use e2e::{
    test_app::{SharedState::InProcess, TestApp},
    webhooks::{Behaviour, Receiver},
};
use serde_json::json;
use shared::messages::MessageStatus;

use super::Fixture;

/// The app with a queue that behaves so.
async fn with_queue(behaviour: Behaviour) -> (Fixture, Receiver) {
    let queue = Receiver::start().await;
    queue.set(behaviour);
    let url = format!("http://{}/123456789012/messages", queue.address);
    let app = TestApp::builder(InProcess)
        .set("USER_MESSAGES", "on")
        .set("MESSAGE_QUEUE_URL", &url)
        .start()
        .await;
    let user = app.log_in("alice").await;
    let admin = app.administrator("root").await;
    (Fixture { app, user, admin }, queue)
}

/// The messages that the function finds due.
async fn due(fixture: &Fixture) -> Vec<String> {
    let messages = fixture.app.instance_with(&[]).messages();
    let app_id = e2e::settings::APP_ID.parse().unwrap();
    // What is due within this millisecond comes next time.
    fixture.app.clock.advance_seconds(1);
    let page = messages.due(&app_id, 100, None).await.unwrap();
    assert_eq!((page.unreadable, page.missed), (0, 0));
    page.messages
        .iter()
        .map(|message| message.id.to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_taken_while_the_queue_is_down() {
    let (fixture, _queue) = with_queue(Behaviour::status(503)).await;
    let answer = fixture.send(&fixture.order("order-0001")).await;
    let data = answer.ok(202).clone();
    assert_eq!(data["status"], "queued");
    let id = data["messageId"].as_str().unwrap().to_owned();
    let message = fixture.message(&id).await.unwrap();
    assert_eq!(message.status, MessageStatus::Queued);
    assert_eq!(due(&fixture).await, [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_queue_an_order_waits_in_the_table() {
    let app = TestApp::builder(InProcess)
        .set("USER_MESSAGES", "on")
        .start()
        .await;
    let user = app.log_in("alice").await;
    let admin = app.administrator("root").await;
    let fixture = Fixture { app, user, admin };
    let answer = fixture.send(&fixture.order("order-0001")).await;
    assert_eq!(
        due(&fixture).await,
        [answer.ok(202)["messageId"].as_str().unwrap()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_hangs_holds_up_one_order_for_two_seconds() {
    let (fixture, queue) = with_queue(Behaviour::Hang).await;
    let started = std::time::Instant::now();
    let first = fixture.send(&fixture.order("order-0001")).await;
    first.ok(202);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let calls = queue.connections();
    assert!(calls > 0);
    let second = fixture.send(&fixture.order("order-0002")).await;
    assert_eq!(second.ok(202)["status"], json!("queued"));
    assert_eq!(queue.connections(), calls, "it is not called again at once");
    assert_eq!(due(&fixture).await.len(), 2);
}
