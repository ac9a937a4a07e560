//! Messages to users, which the server sends itself, without a queue.

use std::time::Duration;

use e2e::{test_app::Tokens, within_patience};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;
use wechat_simulator::{Fault, SubscriptionAnswer};

use super::Running;
use crate::harness::LambdaHarness;

const TEMPLATE: &str = "priTmplId-0123456789abcdefghijklmnopqrstuvw";

const SEND: &str = "/cgi-bin/message/subscribe/send";

fn order(user: &str) -> Value {
    json!({
        "idempotencyKey": "order-7:shipped", "userId": user, "type": "subscribe",
        "templateId": TEMPLATE, "data": {"thing1": "一箱苹果"},
    })
}

/// An administrator who agreed to one message, and ordered it.
async fn order_one(harness: &LambdaHarness, server: &Running) -> Tokens {
    let tokens = server.log_in(harness, "alice").await;
    harness.set_role(&tokens.user_id(), "admin").await;
    let accept = SubscriptionAnswer::Accept;
    let subscribed = harness.wechat.subscribe("alice", TEMPLATE, accept, None);
    subscribed.unwrap();
    let report = json!({"requestId": "request-1", "results": {TEMPLATE: "accept"}});
    let reported = server.api.request("PUT", "/api/v1/user/subscriptions");
    let reported = reported.bearer(&tokens.access).json(&report);
    reported.send().await.ok(200);
    let ordered = server.api.request("POST", "/api/v1/messages");
    let ordered = ordered
        .bearer(&tokens.access)
        .json(&order(&tokens.user_id()));
    assert_eq!(ordered.send().await.ok(202)["status"], "queued");
    tokens
}

/// Also where a server has hardly time to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_without_a_queue() {
    let harness = LambdaHarness::start().await;
    let settings = [("USER_MESSAGES", "on"), ("SHUTDOWN_SECONDS", "1")];
    let server = Running::with(&harness, &settings).await;
    order_one(&harness, &server).await;
    let wechat = &harness.wechat;
    within_patience("the message", async {
        while wechat.messages("alice", None).unwrap().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// WeChat takes the message long after the last connection is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_being_sent_is_written_down_before_the_stop() {
    let harness = LambdaHarness::start().await;
    let settings = [("USER_MESSAGES", "on"), ("WECHAT_TIMEOUT_MS", "9000")];
    let server = Running::with(&harness, &settings).await;
    let slow = Fault {
        path: Some(SEND.to_owned()),
        latency_ms: Some(5000),
        ..Fault::default()
    };
    harness.wechat.set_faults([slow]).unwrap();
    let tokens = order_one(&harness, &server).await;
    within_patience("the call to WeChat", async {
        while harness.wechat.calls(SEND) == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    server.process.signal(Signal::TERM);
    let code = server.process.wait_exit().await.code();
    assert_eq!(code, Some(0), "{}", server.process.logs());
    let of_user = format!("USER#{}", tokens.user_id());
    let rows = harness.table.items_under(&of_user).await;
    let message = rows
        .iter()
        .find(|row| row["sk"].as_s().unwrap().starts_with("MESSAGE#"));
    assert_eq!(message.unwrap()["status"].as_s().unwrap(), "sent");
    assert_eq!(harness.wechat.messages("alice", None).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_off_unless_they_are_switched_on() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[]).await;
    let tokens = server.log_in(&harness, "alice").await;
    harness.set_role(&tokens.user_id(), "admin").await;
    let ordered = server.api.request("POST", "/api/v1/messages");
    let ordered = ordered
        .bearer(&tokens.access)
        .json(&order(&tokens.user_id()));
    ordered.send().await.fails(501, "not_configured");
}
