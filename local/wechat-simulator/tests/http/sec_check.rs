//! msgSecCheck.

use serde_json::{Value, json};
use wechat_simulator::{REVIEW_KEYWORD, RISKY_KEYWORD};

use crate::support::{TestSimulator, errcode};

async fn check(wechat: &TestSimulator, open_id: &str, over: Value) -> Value {
    let mut body = json!({"content": "hello", "version": 2, "scene": 1, "openid": open_id});
    for (name, value) in over.as_object().unwrap() {
        body[name] = value.clone();
    }
    let token = wechat.access_token().await;
    wechat
        .post(&format!("/wxa/msg_sec_check?access_token={token}"), body)
        .await
}

#[tokio::test]
async fn harmless_text_passes_and_keywords_are_flagged() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    for (over, expected) in [
        (json!({}), json!({"suggest": "pass", "label": 100})),
        (
            json!({"version": "2", "scene": "1"}),
            json!({"suggest": "pass", "label": 100}),
        ),
        (
            json!({"content": format!("so {RISKY_KEYWORD}!")}),
            json!({"suggest": "risky", "label": 20006}),
        ),
        (
            json!({"nickname": REVIEW_KEYWORD}),
            json!({"suggest": "review", "label": 21000}),
        ),
    ] {
        let answer = check(&wechat, &open_id, over).await;
        assert_eq!(errcode(&answer), 0);
        assert_eq!(answer["result"], expected);
    }
}

#[tokio::test]
async fn a_user_inactive_for_two_hours_is_rejected() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    wechat.advance(7201);
    assert_eq!(errcode(&check(&wechat, &open_id, json!({})).await), 61010);
    wechat.log_in("alice").await;
    assert_eq!(errcode(&check(&wechat, &open_id, json!({})).await), 0);
}

#[tokio::test]
async fn invalid_requests_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    for (over, expected) in [
        (json!({"version": 1}), 40097),
        (json!({"scene": 5}), 40097),
        (json!({"content": ""}), 44004),
        (json!({"content": "长".repeat(2501)}), 45002),
        (json!({"content": 1}), 47001),
        (json!({"openid": "nobody"}), 40003),
    ] {
        assert_eq!(
            errcode(&check(&wechat, &open_id, over.clone()).await),
            expected,
            "{over}"
        );
    }
    let longest = check(&wechat, &open_id, json!({"content": "长".repeat(2500)})).await;
    assert_eq!(errcode(&longest), 0);
}
