//! Pictures that are being checked, and what WeChat says of them.

use e2e::{
    test_app::{Api, SharedState, TestApp, Tokens},
    upload::PNG,
};
use serde_json::Value;
use wechat_simulator::{MediaCheck, PushRequest};

use super::{confirm, fetch, uploaded};

/// An app that has pictures checked.
pub async fn start(state: SharedState) -> TestApp {
    let app = TestApp::builder(state).avatars();
    app.set("CONTENT_CHECK", "on").start().await
}

/// A picture that WeChat judges by this word in it.
pub fn picture(keyword: &str) -> Vec<u8> {
    [PNG, keyword.as_bytes()].concat()
}

/// Uploads and confirms a picture that is then being checked.
pub async fn checking(app: &TestApp, tokens: &Tokens, picture: &[u8]) -> (Value, MediaCheck) {
    let form = uploaded(app, tokens, picture).await;
    let answer = confirm(app, tokens, &form).await;
    assert_eq!(answer.ok(202)["status"], "checking");
    let mut checks = app.wechat.take_media_checks();
    assert_eq!(checks.len(), 1);
    (form, checks.remove(0))
}

/// What WeChat pushes about a picture, after it has read it.
pub async fn verdict(app: &TestApp, check: &MediaCheck) -> PushRequest {
    let picture = fetch(&check.media_url).await;
    let content = (picture.status == 200).then_some(&*picture.body);
    app.wechat.media_verdict(check, content).unwrap()
}

/// Delivers a message.
pub async fn push(app: &TestApp, push: &PushRequest) {
    push_to(&app.api, push).await;
}

/// Delivers a message to this instance.
pub async fn push_to(api: &Api, push: &PushRequest) {
    let answer = answer_to(api, push).await;
    assert_eq!(answer, (200, "success".to_owned()));
}

/// Delivers a message that WeChat has to repeat: it does so unless the answer is `success`. Returns the
/// status.
pub async fn push_in_vain(api: &Api, push: &PushRequest) -> u16 {
    let (status, body) = answer_to(api, push).await;
    assert!(status >= 400 && !body.contains("success"), "{body}");
    status
}

async fn answer_to(api: &Api, push: &PushRequest) -> (u16, String) {
    let path = format!("/api/v1/wechat/callback?{}", push.query);
    let request = api.request("POST", &path);
    let request = request
        .header("content-type", push.content_type)
        .body(push.body.clone());
    let (status, _, body) = request.send_raw().await;
    (status, String::from_utf8_lossy(&body).into_owned())
}
