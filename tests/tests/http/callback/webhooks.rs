//! Pushed messages as events for receivers of webhooks.

use e2e::{
    test_app::{SharedState::InProcess, TestApp},
    webhooks::{Hook, Receiver},
};
use local::Poller;
use serde_json::{Value, json};
use shared::runtime::Invoker;

use super::pushes::{deliver, event};

/// What a receiver of everything is sent, from what is in the queue.
async fn delivered(app: &TestApp) -> Vec<Hook> {
    let receiver = Receiver::start().await;
    let receivers = json!([{
        "id": "all", "url": format!("http://{}/", receiver.address),
        "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    }]);
    let instance = app.instance_with(&[("WEBHOOKS", &receivers.to_string())]);
    let invoker = Invoker::new(webhooks::handler(&instance));
    let poller = Poller::webhooks(instance.webhook_queue().unwrap(), invoker);
    poller.run_schedule().await;
    while poller.run_once().await > 0 {}
    assert!(app.queue().is_empty());
    receiver.hooks()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_event_is_announced_with_the_user_and_without_the_openid() {
    let app = TestApp::builder(InProcess).webhooks().start().await;
    let user = app.log_in("alice").await.user_id();
    let order = event("user_authorization_revoke", json!({"RevokeInfo": "301"}));
    let push = app.wechat.push(&order).unwrap();
    deliver(&app.api, &push).await.assert_success();
    let hooks = delivered(&app).await;
    let [hook] = &hooks[..] else {
        panic!("{hooks:?}")
    };
    let event = hook.json();
    assert_eq!(event["type"], "wechat.user_authorization_revoke");
    assert_eq!(event["data"]["userId"], user);
    assert_eq!(event["data"]["fields"], Value::Null);
    let open_id = app.wechat.open_id("alice", None).unwrap();
    assert!(!hook.body.contains(&open_id), "{}", hook.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fields_of_a_message_are_told_where_that_is_switched_on() {
    let app = TestApp::builder(InProcess).webhooks();
    let app = app.set("WEBHOOK_WECHAT_FIELDS", "on").start().await;
    let order = event("user_enter_tempsession", json!({"SessionFrom": "shop"}));
    let push = app.wechat.push(&order).unwrap();
    deliver(&app.api, &push).await.assert_success();
    let hooks = delivered(&app).await;
    let data = hooks[0].json()["data"].clone();
    assert_eq!(data["fields"]["SessionFrom"], "shop");
    assert_eq!(data["userId"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_names_the_user_and_leaves_nothing_personal() {
    let app = TestApp::builder(InProcess).webhooks();
    let app = app.set("WEBHOOK_WECHAT_FIELDS", "on").start().await;
    let user = app.log_in("alice").await.user_id();
    let open_id = app.wechat.open_id("alice", None).unwrap();
    let push = app
        .wechat
        .push(&event("user_authorization_cancellation", json!({})));
    deliver(&app.api, &push.unwrap()).await.assert_success();
    let hooks = delivered(&app).await;
    let cancelled = hooks.iter().map(Hook::json);
    let mut cancelled =
        cancelled.filter(|event| event["type"] == "wechat.user_authorization_cancellation");
    let cancelled = cancelled.next().unwrap();
    assert_eq!(cancelled["data"]["userId"], user);
    assert!(!cancelled.to_string().contains(&open_id), "{cancelled}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_announced_later_while_the_queue_is_down_and_its_handlers_reply() {
    let app = TestApp::builder(InProcess).webhooks().start().await;
    let nowhere = ("WEBHOOK_QUEUE_URL", "http://127.0.0.1:1/0/hooks");
    let without = app.another_instance_with(&[nowhere]).await;
    let push = app.wechat.push(&event("user_enter_tempsession", json!({})));
    let push = push.unwrap();
    deliver(&without, &push).await.assert_success();
    assert!(app.queue().is_empty());
    assert_eq!(delivered(&app).await.len(), 1);
}
