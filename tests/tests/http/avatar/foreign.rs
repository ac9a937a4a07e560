//! The same against an S3 server that is not ours.

use e2e::{
    foreign_s3::{BUCKET, ForeignS3},
    test_app::{SharedState::InProcess, TestApp, Tokens},
    upload::{PNG, post_form},
};
use serde_json::Value;

use super::{avatar_url, confirm, other_png};

const BASE: &str = "https://static.example.com";

async fn start(s3: &ForeignS3, checks: &str) -> TestApp {
    TestApp::builder(InProcess)
        .real_time()
        .set("AVATAR_BUCKET", BUCKET)
        .set("AWS_ENDPOINT_URL_S3", &s3.url())
        .set("AVATAR_BASE_URL", BASE)
        .set("CONTENT_CHECK", checks)
        .start()
        .await
}

async fn form(app: &TestApp, tokens: &Tokens) -> Value {
    let answer = app.api.begin_avatar(&tokens.access, "image/png", 1000);
    answer.await.ok(200).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_uploaded_confirmed_replaced_and_deleted() {
    let s3 = ForeignS3::start().await;
    let app = start(&s3, "off").await;
    let tokens = app.log_in("alice").await;
    for picture in [PNG.to_vec(), other_png()] {
        let form = form(&app, &tokens).await;
        let answer = post_form(&form, &picture).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        confirm(&app, &tokens, &form).await.ok(200);
        let url = avatar_url(&app, &tokens).await;
        let key = url
            .as_str()
            .unwrap()
            .strip_prefix(&format!("{BASE}/"))
            .unwrap()
            .to_owned();
        assert_eq!(s3.read(&key), picture);
        assert_eq!(s3.keys(), [key]);
    }
    app.api.delete_account(&tokens.access).await.ok(200);
    assert_eq!(s3.keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_was_changed_is_refused() {
    let s3 = ForeignS3::start().await;
    let app = start(&s3, "off").await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens).await;
    for (name, value) in [
        ("key", "avatars/00000000000000000000000000000000.png"),
        ("Content-Type", "text/html"),
        ("x-amz-signature", &"0".repeat(64)),
        (
            "x-amz-credential",
            "AKIA/20261126/us-east-1/s3/aws4_request",
        ),
    ] {
        let mut changed = form.clone();
        changed["fields"][name] = value.into();
        let answer = post_form(&changed, PNG).await;
        assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
    }
    let answer = post_form(&form, &[PNG, &[0; 1000]].concat()).await;
    assert!((400..500).contains(&answer.status), "too large: {answer:?}");
    assert_eq!(s3.keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form)
        .await
        .fails(409, "upload_missing");
}

/// The URL that WeChat reads is signed, and works for nobody without its signature.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_checked_can_be_read_by_its_signed_url_only() {
    let s3 = ForeignS3::start().await;
    let app = start(&s3, "on").await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens).await;
    post_form(&form, PNG).await;
    confirm(&app, &tokens, &form).await.ok(202);
    let check = app.wechat.take_media_checks().remove(0);
    let read = e2e::upload::fetch(&check.media_url).await;
    assert_eq!((read.status, &*read.body), (200, PNG));
    let (bare, _) = check.media_url.split_once('?').unwrap();
    assert_eq!(e2e::upload::fetch(bare).await.status, 403);
    let push = app.wechat.media_verdict(&check, Some(&read.body)).unwrap();
    let path = format!("/api/v1/wechat/callback?{}", push.query);
    let request = app.api.request("POST", &path).body(push.body);
    assert_eq!(request.send_raw().await.0, 200);
    confirm(&app, &tokens, &form).await.ok(200);
}
