//! The same against an S3 server that is not ours.

use e2e::{
    foreign_s3::{BUCKET, ForeignS3},
    test_app::{SharedState::InProcess, TestApp, Tokens},
    upload::{PNG, StoreAnswer, fetch, post_form},
};
use serde_json::Value;

use super::{avatar_url, confirm, key, other_png, url_of};

async fn start(s3: &ForeignS3, checks: &str) -> TestApp {
    TestApp::builder(InProcess)
        .real_time()
        .set("AVATAR_BUCKET", BUCKET)
        .set("AWS_ENDPOINT_URL_S3", &s3.url())
        .set("AVATAR_BASE_URL", &s3.base_url())
        .set("CONTENT_CHECK", checks)
        .start()
        .await
}

async fn form(app: &TestApp, tokens: &Tokens) -> Value {
    let answer = app.api.begin_avatar(&tokens.access, "image/png", 1000);
    answer.await.ok(200).clone()
}

#[track_caller]
fn assert_refused(answer: &StoreAnswer, what: &str) {
    // s3s calls another algorithm not implemented.
    let is_refused = matches!(answer.status, 400..=499 | 501);
    assert!(is_refused, "{what}: {answer:?}");
}

/// A page's steps, from the button to the picture that a browser shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_uploaded_confirmed_shown_replaced_and_deleted() {
    let s3 = ForeignS3::start().await;
    let app = start(&s3, "off").await;
    let tokens = app.log_in("alice").await;
    let mut before = None;
    for picture in [PNG.to_vec(), other_png()] {
        let form = form(&app, &tokens).await;
        let answer = post_form(&form, &picture).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        let uploaded = format!("{}/{}", s3.base_url(), key(&form));
        assert_refused(&fetch(&uploaded).await, "what was not confirmed");
        let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
        assert_eq!(avatar_url(&app, &tokens).await, url);
        let shown = fetch(&url).await;
        assert_eq!((shown.status, &shown.body), (200, &picture));
        assert_eq!(shown.header("content-type"), Some("image/png"));
        assert_eq!(s3.keys().len(), 1);
        if let Some(before) = before.replace(url) {
            assert_eq!(fetch(&before).await.status, 404);
        }
    }
    app.api.delete_account(&tokens.access).await.ok(200);
    assert_eq!(fetch(&before.unwrap()).await.status, 404);
    assert_eq!(s3.keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_any_field_changed_or_removed_is_refused() {
    let s3 = ForeignS3::start().await;
    let app = start(&s3, "off").await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens).await;
    let fields = form["fields"].as_object().unwrap();
    assert_eq!(fields.len(), 8, "{fields:?}");
    for (name, value) in fields {
        let value = value.as_str().unwrap();
        // Another value of the same length.
        let last = if value.ends_with('0') { "1" } else { "0" };
        let mut changed = form.clone();
        changed["fields"][name] = format!("{}{last}", &value[..value.len() - 1]).into();
        assert_refused(&post_form(&changed, PNG).await, name);
        let mut removed = form.clone();
        removed["fields"].as_object_mut().unwrap().remove(name);
        assert_refused(&post_form(&removed, PNG).await, &format!("without {name}"));
    }
    for (name, value) in [
        ("key", "avatars/00000000000000000000000000000000.png"),
        ("Content-Type", "text/html"),
        ("acl", "public-read"),
        ("bucket", "other"),
        ("success_action_redirect", "https://a.cn/"),
    ] {
        let mut changed = form.clone();
        changed["fields"][name] = value.into();
        assert_refused(&post_form(&changed, PNG).await, name);
    }
    // A policy that allows more.
    let larger = app.api.begin_avatar(&tokens.access, "image/png", 2_000_000);
    let mut changed = form.clone();
    changed["fields"]["policy"] = larger.await.ok(200)["fields"]["policy"].clone();
    assert_refused(&post_form(&changed, PNG).await, "another form's policy");
    let too_large = [PNG, &[0; 1000]].concat();
    assert_refused(&post_form(&form, &too_large).await, "too large");
    assert_refused(&post_form(&form, b"").await, "empty");
    assert_eq!(s3.keys(), Vec::<String>::new());
    let confirmed = confirm(&app, &tokens, &form).await;
    confirmed.fails(409, "upload_missing");
    // As it was given out, it is accepted.
    assert!(matches!(post_form(&form, PNG).await.status, 200 | 204));
}

/// The server's clock is the real one: it is the form that is from a while ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_has_expired_is_refused() {
    for (ago, expired) in [(200, false), (400, true)] {
        let s3 = ForeignS3::start().await;
        let app = start(&s3, "off").await;
        app.clock.advance_seconds(-ago);
        let tokens = app.log_in("alice").await;
        let form = form(&app, &tokens).await;
        app.clock.advance_seconds(ago);
        let answer = post_form(&form, PNG).await;
        assert_eq!(answer.status >= 400, expired, "{ago}: {answer:?}");
        assert_eq!(s3.keys().is_empty(), expired, "{ago}");
    }
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
    let read = fetch(&check.media_url).await;
    assert_eq!((read.status, &*read.body), (200, PNG));
    let (bare, query) = check.media_url.split_once('?').unwrap();
    assert_eq!(fetch(bare).await.status, 403);
    let without_token = query
        .split('&')
        .filter(|member| !member.starts_with("X-Amz-Security-Token="));
    let without_token: Vec<_> = without_token.collect();
    let url = format!("{bare}?{}", without_token.join("&"));
    assert_refused(&fetch(&url).await, "without the session token");
    let push = app.wechat.media_verdict(&check, Some(&read.body)).unwrap();
    super::verdicts::push(&app, &push).await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(fetch(&url).await.body, PNG);
}
