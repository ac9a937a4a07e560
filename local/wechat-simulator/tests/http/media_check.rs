//! mediaCheckAsync, and the verdict that is pushed later.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use wechat_simulator::{PushConfig, PushResponse, RISKY_KEYWORD};

use crate::support::{APP, TestSimulator, errcode};

async fn check(wechat: &TestSimulator, open_id: &str, over: Value) -> Value {
    let mut body = json!({
        "media_url": "https://a.cn/x.png", "media_type": 2, "version": 2, "scene": 1, "openid": open_id,
    });
    for (name, value) in over.as_object().unwrap() {
        body[name] = value.clone();
    }
    let token = wechat.access_token().await;
    wechat
        .post(
            &format!("/wxa/media_check_async?access_token={token}"),
            body,
        )
        .await
}

#[tokio::test]
async fn a_picture_waits_for_its_verdict() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    let answer = check(&wechat, &open_id, json!({})).await;
    assert_eq!(errcode(&answer), 0);
    let checks = wechat.simulator.take_media_checks();
    assert_eq!(checks.len(), 1);
    assert_eq!(answer["trace_id"], checks[0].trace_id);
    assert_eq!(
        (&*checks[0].open_id, &*checks[0].media_url),
        (&*open_id, "https://a.cn/x.png")
    );
    assert_eq!(wechat.simulator.take_media_checks(), []);
}

#[tokio::test]
async fn invalid_requests_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    for (over, expected) in [
        (json!({"version": 1}), 40097),
        (json!({"scene": 5}), 40097),
        (json!({"media_type": 3}), 40097),
        (json!({"media_url": "wxfile://tmp_a.png"}), 40066),
        (json!({"openid": "o_nobody"}), 40003),
        (json!({"media_url": 1}), 47001),
    ] {
        let answer = check(&wechat, &open_id, over.clone()).await;
        assert_eq!(errcode(&answer), expected, "{over}");
    }
    assert_eq!(wechat.simulator.take_media_checks(), []);
}

#[tokio::test]
async fn with_a_reader_the_verdict_is_pushed() {
    let wechat = TestSimulator::new();
    let (open_id, _) = wechat.log_in("alice").await;
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let config = PushConfig {
        app_id: APP.to_owned(),
        token: "token".to_owned(),
        encoding_aes_key: None,
    };
    wechat.simulator.configure_push([config]).unwrap();
    let (told, mut pushes) = mpsc::unbounded_channel();
    let sink = Arc::clone(&delivered);
    wechat.simulator.set_transport(Arc::new(move |push| {
        sink.lock().unwrap().push(push);
        let _ = told.send(());
        Box::pin(async {
            PushResponse {
                status: 200,
                body: "success".to_owned(),
            }
        })
    }));
    wechat.simulator.set_media_reader(Arc::new(|url| {
        Box::pin(async move { (url == "https://a.cn/x.png").then(|| RISKY_KEYWORD.into()) })
    }));
    check(&wechat, &open_id, json!({})).await;
    pushes.recv().await.unwrap();
    let body = delivered.lock().unwrap()[0].body.clone();
    let message: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(message["Event"], "wxa_media_check");
    assert_eq!(message["result"]["suggest"], "risky");
    check(&wechat, &open_id, json!({"media_url": "https://a.cn/gone"})).await;
    pushes.recv().await.unwrap();
    let body = delivered.lock().unwrap()[1].body.clone();
    let message: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(message["errcode"], -1008);
}
