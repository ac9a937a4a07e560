//! Messages to users, which the server sends itself, without a queue.

use std::time::Duration;

use e2e::within_patience;
use serde_json::{Value, json};
use tokio::time::sleep;
use wechat_simulator::SubscriptionAnswer;

use super::Running;
use crate::harness::LambdaHarness;

const TEMPLATE: &str = "priTmplId-0123456789abcdefghijklmnopqrstuvw";

fn order(user: &str) -> Value {
    json!({
        "idempotencyKey": "order-7:shipped", "userId": user, "type": "subscribe",
        "templateId": TEMPLATE, "data": {"thing1": "一箱苹果"},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_without_a_queue() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[("USER_MESSAGES", "on")]).await;
    let tokens = server.log_in(&harness, "alice").await;
    harness.set_role(&tokens.user_id(), "admin").await;
    let accept = SubscriptionAnswer::Accept;
    let wechat = &harness.wechat;
    wechat.subscribe("alice", TEMPLATE, accept, None).unwrap();
    let report = json!({"requestId": "request-1", "results": {TEMPLATE: "accept"}});
    let reported = server.api.request("PUT", "/api/v1/user/subscriptions");
    let reported = reported.bearer(&tokens.access).json(&report);
    reported.send().await.ok(200);
    let ordered = server.api.request("POST", "/api/v1/messages");
    let ordered = ordered
        .bearer(&tokens.access)
        .json(&order(&tokens.user_id()));
    assert_eq!(ordered.send().await.ok(202)["status"], "queued");
    within_patience("the message", async {
        while wechat.messages("alice", None).unwrap().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
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
