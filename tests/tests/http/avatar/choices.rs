//! Which picture a user sees who chooses again while WeChat is still checking: always the last choice.

use e2e::{
    http::Answer,
    test_app::{
        SharedState::{InProcess, Redis},
        TestApp, Tokens,
    },
    upload::PNG,
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    avatar_url, confirm, fetch, other_png, published, upload_rows, url_of,
    verdicts::{checking, push, start, verdict},
};

/// An address that users may set themselves.
const ELSEWHERE: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/a/132";

#[rstest]
#[case::the_first_verdict_first([0, 1])]
#[case::the_second_verdict_first([1, 0])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_pictures_the_one_confirmed_last_is_shown(#[case] order: [usize; 2]) {
    let app = start(Redis).await;
    let tokens = app.log_in("alice").await;
    let (first, first_check) = checking(&app, &tokens, PNG).await;
    let first_verdict = verdict(&app, &first_check).await;
    app.clock.advance_seconds(1);
    let (second, second_check) = checking(&app, &tokens, &other_png()).await;
    let verdicts = [first_verdict, verdict(&app, &second_check).await];
    for at in order {
        push(&app, &verdicts[at]).await;
    }
    let url = url_of(confirm(&app, &tokens, &second).await.ok(200));
    assert_eq!(avatar_url(&app, &tokens).await, url);
    assert_eq!(fetch(&url).await.body, other_png());
    let keys = app.object_keys();
    assert!(
        keys.iter().all(|key| !key.starts_with("checks/")),
        "{keys:?}"
    );
    assert_eq!(keys.len(), 1);
    confirm(&app, &tokens, &first).await.fails(404, "not_found");
}

async fn clear_as_administrator(app: &TestApp, tokens: &Tokens) -> Answer {
    let root = app.administrator("root").await;
    let version = app.api.info(&tokens.access).await.ok(200)["version"].clone();
    clear_version(app, &root, tokens, &version).await
}

/// As an administrator who has read this version.
async fn clear_version(app: &TestApp, root: &Tokens, of: &Tokens, version: &Value) -> Answer {
    let path = format!("/api/v1/users/{}", of.user_id());
    let change = json!({"avatarUrl": null, "version": version});
    let request = app.api.request("PUT", &path).bearer(&root.access);
    request.json(&change).send().await
}

#[rstest]
#[case::cleared(json!(null), false)]
#[case::replaced(json!(ELSEWHERE), false)]
#[case::cleared_by_an_administrator(json!(null), true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_checked_does_not_come_back_after_a_change(
    #[case] new: Value,
    #[case] by_administrator: bool,
) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    let change = json!({"avatarUrl": new});
    let changed = if by_administrator {
        clear_as_administrator(&app, &tokens).await
    } else {
        app.api.change(&tokens.access, &change).await
    };
    changed.ok(200);
    push(&app, &passed).await;
    assert_eq!(avatar_url(&app, &tokens).await, new);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
    confirm(&app, &tokens, &form).await.fails(404, "not_found");
}

/// A page saves the whole profile, with the address that it has read, while the new picture is checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_the_address_back_cancels_nothing() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let elsewhere = json!({"avatarUrl": ELSEWHERE});
    app.api.change(&tokens.access, &elsewhere).await.ok(200);
    let (form, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    let same = json!({"avatarUrl": ELSEWHERE, "gender": 1});
    app.api.change(&tokens.access, &same).await.ok(200);
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &form).await.ok(200));
}

/// The address is written, and the old picture could not be deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_failed_half_way_is_completed_by_the_same_request() {
    let app = TestApp::builder(InProcess).avatars().proxied();
    let app = app.start().await;
    let tokens = app.log_in("alice").await;
    let old = published(&app, &tokens, PNG).await;
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(Fault::Refuse).await;
    let change = json!({"avatarUrl": ELSEWHERE});
    let failed = app.api.change(&tokens.access, &change).await;
    failed.fails(503, "unavailable");
    store.heal().await;
    let again = app.api.change(&tokens.access, &change).await;
    assert_eq!(again.ok(200)["avatarUrl"], ELSEWHERE);
    assert_eq!(fetch(&old).await.status, 404);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

/// The same with the profile's version, which somebody else may have changed since.
#[rstest]
#[case::as_it_was(None, 200)]
#[case::changed_by_its_user(Some(json!({"nickname": "小明"})), 409)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_change_that_failed_half_way_is_completed_by_the_same_request(
    #[case] meanwhile: Option<Value>,
    #[case] status: u16,
) {
    let app = TestApp::builder(InProcess).avatars().proxied();
    let app = app.start().await;
    let (root, tokens) = (app.administrator("root").await, app.log_in("alice").await);
    let old = published(&app, &tokens, PNG).await;
    let version = app.api.info(&tokens.access).await.ok(200)["version"].clone();
    let clear = || clear_version(&app, &root, &tokens, &version);
    let store = app.proxies().objects.as_ref().unwrap();
    store.cut();
    store.set(Fault::Refuse).await;
    clear().await.fails(503, "unavailable");
    if let Some(change) = meanwhile {
        app.api.change(&tokens.access, &change).await.ok(200);
    }
    // Not done as long as the picture is there, whatever the version is.
    clear().await.fails(503, "unavailable");
    store.heal().await;
    assert_eq!(clear().await.status, status);
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    assert_eq!(fetch(&old).await.status, 404);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

/// Somebody else has changed the profile: nothing is done, and the picture stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_change_of_another_version_leaves_the_pictures() {
    let app = start(InProcess).await;
    let (root, tokens) = (app.administrator("root").await, app.log_in("alice").await);
    let (_, check) = checking(&app, &tokens, PNG).await;
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    let url = avatar_url(&app, &tokens).await;
    let (second, check) = checking(&app, &tokens, &other_png()).await;
    let stale = clear_version(&app, &root, &tokens, &json!(1)).await;
    stale.fails(409, "conflict");
    assert_eq!(fetch(url.as_str().unwrap()).await.body, PNG);
    let passed = verdict(&app, &check).await;
    push(&app, &passed).await;
    url_of(confirm(&app, &tokens, &second).await.ok(200));
}
