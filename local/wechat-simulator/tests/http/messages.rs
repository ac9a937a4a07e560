//! Subscribe messages and replies of customer service.

use serde_json::{Value, json};
use wechat_simulator::{PushConfig, Quota, SubscriptionAnswer};

use crate::support::{APP, OTHER_APP, TestSimulator, errcode};

const TEMPLATE: &str = "hYnTB5cbhnBcCEHFIbVBTyBYLX-0OJ2VSVVCA9hVNgE";

async fn send(wechat: &TestSimulator, open_id: &str, over: Value) -> Value {
    let mut body = json!({
        "touser": open_id, "template_id": TEMPLATE, "page": "pages/order?id=7",
        "data": {"thing1": {"value": "牛奶"}, "amount2": {"value": "¥12.50"}},
        "miniprogram_state": "trial", "lang": "en_US",
    });
    for (name, value) in over.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(wechat, "/cgi-bin/message/subscribe/send", body).await
}

async fn post(wechat: &TestSimulator, path: &str, body: Value) -> Value {
    let token = wechat.access_token().await;
    wechat
        .post(&format!("{path}?access_token={token}"), body)
        .await
}

async fn reply(wechat: &TestSimulator, open_id: &str, content: Value) -> Value {
    let mut body = json!({"touser": open_id});
    for (name, value) in content.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(wechat, "/cgi-bin/message/custom/send", body).await
}

fn text() -> Value {
    json!({"msgtype": "text", "text": {"content": "你好"}})
}

fn accept(wechat: &TestSimulator, user: &str) {
    wechat
        .simulator
        .subscribe(user, TEMPLATE, SubscriptionAnswer::Accept, None)
        .unwrap();
}

async fn messages(wechat: &TestSimulator, user: &str) -> Value {
    let answer = wechat.get(&format!("/_control/messages?user={user}")).await;
    answer["messages"].clone()
}

#[tokio::test]
async fn each_grant_allows_one_message() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 43101);
    let answers = json!({"user": "alice", "answers": {TEMPLATE: "accept"}});
    let answer = wechat.post("/_control/subscriptions", answers).await;
    assert_eq!(
        answer,
        json!({"errMsg": "requestSubscribeMessage:ok", TEMPLATE: "accept"})
    );
    assert_eq!(wechat.simulator.grants("alice", TEMPLATE, None), Ok(1));
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 0);
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 43101);
    assert_eq!(
        messages(&wechat, "alice").await,
        json!([{
            "deliveredAt": crate::support::START, "kind": "subscribe", "templateId": TEMPLATE,
            "page": "pages/order?id=7", "data": {"thing1": "牛奶", "amount2": "¥12.50"},
            "miniprogramState": "trial", "lang": "en_US",
        }])
    );
    assert_eq!(messages(&wechat, "bob").await, json!([]));
}

#[tokio::test]
async fn a_user_can_refuse_and_take_grants_back() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    for word in ["reject", "ban", "filter"] {
        let answers = json!({"user": "alice", "answers": {TEMPLATE: word}});
        let answer = wechat.post("/_control/subscriptions", answers).await;
        assert_eq!(answer[TEMPLATE], word);
    }
    assert_eq!(wechat.simulator.grants("alice", TEMPLATE, None), Ok(0));
    accept(&wechat, "alice");
    let body = json!({"user": "alice"}).to_string();
    wechat.send("DELETE", "/_control/subscriptions", body).await;
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 43101);
}

#[tokio::test]
async fn an_invalid_message_uses_up_no_grant() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    accept(&wechat, "alice");
    wechat
        .simulator
        .set_pages(["pages/order".to_owned()], None)
        .unwrap();
    let elsewhere = wechat.simulator.open_id("alice", Some(OTHER_APP)).unwrap();
    for (over, expected) in [
        (json!({"touser": ""}), 40003),
        (json!({"touser": elsewhere}), 40003),
        (json!({"template_id": "short"}), 40037),
        (json!({"page": "pages/gone"}), 41030),
        (json!({"data": {}}), 47003),
        (
            json!({"data": {"thing1": {"value": "长".repeat(21)}}}),
            47003,
        ),
        (json!({"data": {"thing1": {"value": ""}}}), 47003),
        (json!({"data": {"keyword1": {"value": "a"}}}), 47003),
        (json!({"data": {"thing1": "a"}}), 47001),
        (json!({"miniprogram_state": "release"}), 40097),
        (json!({"lang": "fr_FR"}), 40097),
    ] {
        let answer = send(&wechat, &open_id, over.clone()).await;
        assert_eq!(errcode(&answer), expected, "{over}");
    }
    assert_eq!(wechat.simulator.grants("alice", TEMPLATE, None), Ok(1));
    assert_eq!(messages(&wechat, "alice").await, json!([]));
}

#[tokio::test]
async fn a_quota_that_is_used_up_returns_45009_until_the_next_day() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    let quotas = json!({"quotas": {"subscribeMessages": 1, "customMessages": 0}}).to_string();
    wechat.send("PUT", "/_control/quotas", quotas).await;
    (0..3).for_each(|_| accept(&wechat, "alice"));
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 0);
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 45009);
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 45009);
    wechat.advance(86_400);
    assert_eq!(errcode(&send(&wechat, &open_id, json!({})).await), 0);
}

#[tokio::test]
async fn a_message_of_the_user_allows_five_replies_within_two_days() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 45015);
    let contact = json!({"user": "alice", "text": "在吗"});
    let answer = wechat.post("/_control/customer-service", contact).await;
    assert_eq!(answer, json!({}));
    for _ in 0..5 {
        assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 0);
    }
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 45047);
    wechat.advance(48 * 3600);
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 45015);
    let delivered = messages(&wechat, "alice").await;
    assert_eq!(delivered.as_array().unwrap().len(), 5);
    assert_eq!(delivered[0]["kind"], "customer_service");
    assert_eq!(delivered[0]["message"], text());
}

#[tokio::test]
async fn replies_of_every_kind_are_delivered_and_invalid_ones_are_not() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    wechat
        .simulator
        .customer_service("alice", Some("在吗"), None)
        .unwrap();
    let link = json!({"title": "t", "description": "d", "url": "https://a.cn", "thumb_url": "https://a.cn/p.png"});
    let page = json!({"title": "t", "pagepath": "pages/a?b=1", "thumb_media_id": "m1"});
    for content in [
        json!({"msgtype": "image", "image": {"media_id": "m1"}}),
        json!({"msgtype": "link", "link": link}),
        json!({"msgtype": "miniprogrampage", "miniprogrampage": page}),
    ] {
        assert_eq!(errcode(&reply(&wechat, &open_id, content).await), 0);
    }
    for (content, expected) in [
        (json!({"msgtype": "voice", "voice": {}}), 40008),
        (json!({"msgtype": "text"}), 44004),
        (
            json!({"msgtype": "text", "text": {"content": "a".repeat(2049)}}),
            45002,
        ),
        (
            json!({"msgtype": "image", "image": {"media_id": ""}}),
            40007,
        ),
        (json!({"msgtype": "link", "link": {"title": "t"}}), 40097),
        (
            json!({"touser": "o", "msgtype": "text", "text": {"content": "a"}}),
            40003,
        ),
    ] {
        let answer = reply(&wechat, &open_id, content.clone()).await;
        assert_eq!(errcode(&answer), expected, "{content}");
    }
    assert_eq!(
        messages(&wechat, "alice").await.as_array().unwrap().len(),
        3
    );
}

#[tokio::test]
async fn what_a_user_writes_is_pushed() {
    let wechat = TestSimulator::new();
    let config = PushConfig {
        app_id: APP.to_owned(),
        token: "token".to_owned(),
        encoding_aes_key: None,
    };
    wechat.simulator.configure_push([config]).unwrap();
    let (open_id, _) = wechat.log_in("alice").await;
    let contact = json!({"user": "alice", "text": "在吗"});
    let answer = wechat.post("/_control/customer-service", contact).await;
    let message: Value = serde_json::from_str(answer["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (
            &message["MsgType"],
            &message["Content"],
            &message["FromUserName"]
        ),
        (&json!("text"), &json!("在吗"), &json!(open_id))
    );
    let push = wechat.simulator.customer_service("alice", None, None);
    let message: Value = serde_json::from_str(&push.unwrap().unwrap().body).unwrap();
    assert_eq!(message["Event"], "user_enter_tempsession");
    assert_eq!(message["FromUserName"], json!(open_id));
}

#[tokio::test]
async fn a_push_of_a_message_allows_replies_too() {
    let wechat = TestSimulator::new();
    let config = PushConfig {
        app_id: APP.to_owned(),
        token: "token".to_owned(),
        encoding_aes_key: None,
    };
    wechat.simulator.configure_push([config]).unwrap();
    let (open_id, _) = wechat.log_in("alice").await;
    let event = json!({"user": "alice", "event": "user_authorization_revoke"});
    wechat.post("/_control/push", event).await;
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 45015);
    let message = json!({"user": "alice", "message": "image"});
    wechat.post("/_control/push", message).await;
    assert_eq!(errcode(&reply(&wechat, &open_id, text()).await), 0);
}

#[tokio::test]
async fn invalid_control_calls_are_rejected() {
    let wechat = TestSimulator::new();
    for (method, path, body) in [
        (
            "POST",
            "subscriptions",
            json!({"user": "alice", "answers": {}}),
        ),
        (
            "POST",
            "subscriptions",
            json!({"user": "alice", "answers": {"short": "accept"}}),
        ),
        (
            "POST",
            "subscriptions",
            json!({"user": "alice", "answers": {TEMPLATE: "maybe"}}),
        ),
        ("PUT", "quotas", json!({"quotas": {"logins": 1}})),
        ("PUT", "pages", json!({"pages": [], "appId": "wx"})),
        ("POST", "customer-service", json!({"user": ""})),
    ] {
        let path = format!("/_control/{path}");
        let answer = wechat.send(method, &path, body.to_string()).await;
        assert_eq!(answer.status, 400, "{path} {body}");
    }
    assert_eq!(wechat.simulator.grants("alice", TEMPLATE, None), Ok(0));
    let nobody = wechat.simulator.set_quota(Quota::Links, 1, Some("wx"));
    assert!(nobody.is_err());
}
