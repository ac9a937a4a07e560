//! Pictures that WeChat checks before they are shown.

use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    upload::{PNG, post_form},
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{Fault, PushOrder, REVIEW_KEYWORD, RISKY_KEYWORD};

use super::{
    avatar_url, confirm, fetch, form, key, other_png, published, upload_rows, uploaded, url_of,
    verdicts::{checking, picture, push, start, verdict},
};

/// What WeChat is asked with.
const PATH: &str = "/wxa/media_check_async";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_shown_when_wechat_has_passed_it(
    #[values(InProcess, Redis)] state: SharedState,
    #[values("", REVIEW_KEYWORD)] keyword: &str,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let content = picture(keyword);
    let (form, check) = checking(&app, &tokens, &content).await;
    assert_eq!(check.open_id, app.wechat.open_id("alice", None).unwrap());
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    let answer = confirm(&app, &tokens, &form).await;
    assert_eq!(answer.ok(202)["status"], "checking");
    assert_eq!(app.wechat.calls(PATH), 1, "asked once");
    assert!(
        app.object_keys()
            .iter()
            .all(|key| !key.starts_with("avatars/"))
    );
    let verdict = verdict(&app, &check).await;
    push(&app, &verdict).await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(avatar_url(&app, &tokens).await, url);
    assert_eq!(fetch(&url).await.body, content);
    assert_eq!(app.object_keys().len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_picture_is_deleted_and_the_old_one_stays(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let (_, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    let before = avatar_url(&app, &tokens).await;
    let (form, check) = checking(&app, &tokens, &picture(RISKY_KEYWORD)).await;
    assert_eq!(avatar_url(&app, &tokens).await, before);
    let refused = verdict(&app, &check).await;
    push(&app, &refused).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(400, "content_risky");
    assert_eq!(avatar_url(&app, &tokens).await, before);
    assert_eq!(fetch(before.as_str().unwrap()).await.status, 200);
    assert_eq!(app.object_keys().len(), 1);
    // Uploading something else with the same form does not help.
    post_form(&form, PNG).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(400, "content_risky");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_comes_again_does_nothing() {
    let app = start(Redis).await;
    let tokens = app.log_in("alice").await;
    let (_, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    let url = avatar_url(&app, &tokens).await;
    let clear = json!({"avatarUrl": null});
    app.api.change(&tokens.access, &clear).await.ok(200);
    // The same delivery, and another message with the same result.
    push(&app, &passed).await;
    app.clock.advance_seconds(2);
    let again = app.wechat.media_verdict(&check, Some(PNG)).unwrap();
    push(&app, &again).await;
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(fetch(url.as_str().unwrap()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_of_others_are_refused() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    // Another trace, and the same one in another mini-program.
    app.api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await
        .ok(200);
    let order = |app_id: &str, trace: &str| PushOrder {
        user: "alice".into(),
        app_id: Some(app_id.into()),
        event: Some("wxa_media_check".into()),
        fields:
            json!({"trace_id": trace, "errcode": 0, "result": {"suggest": "pass", "label": 100}})
                .as_object()
                .unwrap()
                .clone(),
        ..PushOrder::default()
    };
    for (app_id, trace) in [(APP_ID, "5f0f0f0f-0-0"), (OTHER_APP_ID, &*check.trace_id)] {
        let request = app.wechat.push(&order(app_id, trace)).unwrap();
        push(&app, &request).await;
    }
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(
        confirm(&app, &tokens, &form).await.ok(202)["status"],
        "checking"
    );
}

/// WeChat reads a good picture; the user has replaced it, or replaces it before the verdict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_published_picture_is_the_one_that_was_checked() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens, 1000).await;
    post_form(&form, PNG).await;
    confirm(&app, &tokens, &form).await.ok(202);
    let check = app.wechat.take_media_checks().remove(0);
    post_form(&form, &picture(RISKY_KEYWORD)).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    let url = url_of(confirm(&app, &tokens, &form).await.ok(200));
    assert_eq!(fetch(&url).await.body, PNG);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_never_comes_is_asked_for_again_or_done_without(
    #[values("refuse", "allow")] on_failure: &str,
) {
    let app = TestApp::builder(InProcess)
        .avatars()
        .set("CONTENT_CHECK", "on");
    let app = app
        .set("CONTENT_CHECK_ON_FAILURE", on_failure)
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let (form, first) = checking(&app, &tokens, PNG).await;
    app.clock.advance_seconds(1799);
    confirm(&app, &tokens, &form).await.ok(202);
    app.clock.advance_seconds(1);
    if on_failure == "allow" {
        url_of(confirm(&app, &tokens, &form).await.ok(200));
        return;
    }
    confirm(&app, &tokens, &form).await.ok(202);
    let second = app.wechat.take_media_checks().remove(0);
    assert_ne!(first.trace_id, second.trace_id);
    // The first one is nobody's now, whatever it says.
    let late = app
        .wechat
        .media_verdict(&first, Some(RISKY_KEYWORD.as_bytes()));
    push(&app, &late.unwrap()).await;
    let passed = verdict(&app, &second).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_wechat_can_not_read_is_deleted_and_asked_about_once(
    #[values("refuse", "allow")] on_failure: &str,
) {
    let app = TestApp::builder(InProcess)
        .avatars()
        .set("CONTENT_CHECK", "on");
    let app = app
        .set("CONTENT_CHECK_ON_FAILURE", on_failure)
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    let failed = app.wechat.media_verdict(&check, None).unwrap();
    push(&app, &failed).await;
    assert_eq!(app.object_keys(), Vec::<String>::new());
    for _ in 0..2 {
        let answer = confirm(&app, &tokens, &form).await;
        answer.fails(400, "upload_invalid");
    }
    assert_eq!(app.wechat.calls(PATH), 1);
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    // Another upload is judged by itself.
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
}

/// It would be published unchecked, or asked about again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_of_picture_that_wechat_can_not_check_gets_no_form() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let begin = |content_type| app.api.begin_avatar(&tokens.access, content_type, 10);
    let refused = begin("image/webp").await;
    refused.fails_at(&["contentType"]);
    assert_eq!(refused.data()["fields"][0]["rule"], "avatar_checked_type");
    for checked in ["image/jpeg", "image/png", "image/gif"] {
        begin(checked).await.ok(200);
    }
}

#[rstest]
#[case::refused("refuse", 503)]
#[case::allowed("allow", 200)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_refused_or_published_unchecked_while_wechat_is_busy(
    #[case] on_failure: &str,
    #[case] status: u16,
) {
    let app = TestApp::builder(InProcess)
        .avatars()
        .set("CONTENT_CHECK", "on");
    let app = app
        .set("CONTENT_CHECK_ON_FAILURE", on_failure)
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let busy = Fault {
        path: Some(PATH.to_owned()),
        errcode: Some(-1),
        ..Fault::default()
    };
    app.wechat.set_faults([busy]).unwrap();
    let form = uploaded(&app, &tokens, PNG).await;
    let answer: Answer = confirm(&app, &tokens, &form).await;
    assert_eq!(answer.status, status, "{answer:?}");
    app.wechat.clear_faults();
    if status == 503 {
        assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
        assert_eq!(app.object_keys(), [key(&form)]);
        confirm(&app, &tokens, &form).await.ok(202);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_was_removed_is_not_shown_by_a_late_result() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    let order = PushOrder {
        user: "alice".into(),
        event: Some("user_info_modified".into()),
        ..PushOrder::default()
    };
    push(&app, &app.wechat.push(&order).unwrap()).await;
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
    push(&app, &passed).await;
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(app.object_keys(), Vec::<String>::new());
    confirm(&app, &tokens, &form).await.fails(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_checks_wechat_is_not_asked() {
    let app = super::start(InProcess).await;
    let tokens = app.log_in("alice").await;
    published(&app, &tokens, &other_png()).await;
    assert_eq!(app.wechat.calls(PATH), 0);
}
