//! Orders of functions of one's own, from the queue.

use e2e::test_app::{SharedState::InProcess, TestApp, capture};
use serde_json::{Value, json};

use super::{Fixture, one};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_ones_own_function_is_a_message() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    let order = fixture.subscribe("order-7:shipped");
    // It sends it twice, and then another message under the same name.
    let mut other = order.clone();
    other["data"]["thing1"] = json!("两箱苹果");
    for body in [&order, &order, &other] {
        fixture.put(body).await;
        fixture.work().await;
    }
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    let refused = log
        .logs()
        .json_where("reason", &"idempotency_key_reused".into());
    let of_user = |line: &&Value| line["user_id"] == fixture.user.user_id();
    assert_eq!(refused.iter().filter(of_user).count(), 1);
    assert!(fixture.app.message_queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_nobody_is_told_to_receivers_as_one_event() {
    let fixture = Fixture::start().await;
    let mut order = fixture.subscribe("order-7:shipped");
    order["userId"] = json!("0193c0de-0000-7000-8000-00000000abcd");
    for _ in 0..2 {
        fixture.put(&order).await;
        fixture.work().await;
    }
    let events = fixture.events().await;
    let [(one, kind, data), (other, ..)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((one, kind.as_str()), (other, "message.failed"));
    assert_eq!(data["reason"], "user_unreachable");
    assert!(fixture.app.message_queue().is_empty());
}

/// An app where Alice can call a deletion off for a week.
async fn with_cooling() -> Fixture {
    let builder = TestApp::builder(InProcess).set("DELETION_COOLING_DAYS", "7");
    Fixture::of(builder, &[]).await
}

/// The queue hands over what came back.
async fn work_again(fixture: &Fixture) {
    fixture.app.clock.advance_seconds(361);
    fixture.work().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_an_account_that_is_barred_for_a_while_comes_back() {
    let fixture = with_cooling().await;
    fixture.agree("request-1").await;
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    work_again(&fixture).await;
    assert_eq!(fixture.app.message_queue().len(), 1);
    assert!(fixture.announced().await.is_empty());
    api.call_back(&fixture.app.code("alice")).await.ok(200);
    work_again(&fixture).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
    assert!(fixture.app.message_queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_an_account_that_stays_barred_is_given_up() {
    let fixture = with_cooling().await;
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    for _ in 0..4 {
        work_again(&fixture).await;
    }
    assert_eq!(fixture.app.message_queue().len(), 1);
    assert!(fixture.announced().await.is_empty());
    work_again(&fixture).await;
    assert!(fixture.app.message_queue().is_empty());
    let failed = one("message.failed", "user_unreachable");
    assert_eq!(fixture.announced().await, failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_comes_twice_is_not_told_as_failed_because_its_account_is_barred_by_then() {
    let fixture = with_cooling().await;
    fixture.agree("request-1").await;
    let order = fixture.subscribe("order-7:shipped");
    fixture.put(&order).await;
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(&order).await;
    fixture.work().await;
    assert!(fixture.app.message_queue().is_empty());
    let events = fixture.events().await;
    let kinds: Vec<_> = events.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["message.sent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_comes_back_and_holds_up_nothing() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let mut invalid = fixture.subscribe("order-8:shipped");
    invalid["data"]["thing1"] = json!("hunter2 hunter2 hunter2 hunter2");
    fixture.put("hunter2").await;
    fixture.put(&invalid).await;
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    assert_eq!(fixture.app.message_queue().len(), 2);
    let logs = log.logs();
    let unreadable = logs.json_where("message", &"an unreadable message".into());
    let has = |why: &str| unreadable.iter().any(|line| line["why"] == why);
    assert!(has("not an order"), "{unreadable:?}");
    assert!(
        has("an order with invalid fields: data.thing1 (template_field)"),
        "{unreadable:?}"
    );
    assert!(!logs.contain("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_the_queue_does_not_take_is_sent_by_the_schedule() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let administrator = fixture.app.administrator("bob").await;
    let nowhere = [("MESSAGE_QUEUE_URL", "http://127.0.0.1:1/0/messages")];
    let api = fixture.app.another_instance_with(&nowhere).await;
    let order = fixture.subscribe("order-7:shipped");
    let ordered = api.request("POST", "/api/v1/messages");
    let ordered = ordered.bearer(&administrator.access).json(&order);
    assert_eq!(ordered.send().await.ok(202)["status"], "queued");
    assert!(fixture.app.message_queue().is_empty());
    fixture.poller.run_schedule().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_an_administrator_is_sent_at_once() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let administrator = fixture.app.administrator("bob").await;
    let order = fixture.subscribe("order-7:shipped");
    let ask = async || {
        let ordered = fixture.app.api.request("POST", "/api/v1/messages");
        let ordered = ordered.bearer(&administrator.access).json(&order);
        ordered.send().await.ok(202)["status"].clone()
    };
    assert_eq!(ask().await, "queued");
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    // The same order again is the same message.
    assert_eq!(ask().await, "sent");
    fixture.work().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}
