//! From the form to the profile.

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    upload::{PNG, client, post_form, send},
};
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    avatar_url, confirm, fetch, form, key, other_png, published, start, upload_rows, uploaded,
};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_uploaded_confirmed_and_shown(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens, PNG.len()).await;
    assert_eq!(
        (&form["expiresIn"], &form["maxBytes"]),
        (&json!(300), &json!(PNG.len()))
    );
    assert_eq!(form["fields"]["key"], form["key"]);
    assert!(!form.to_string().contains(&tokens.user_id()), "{form}");
    assert_eq!(post_form(&form, PNG).await.status, 204);
    assert_eq!(avatar_url(&app, &tokens).await, Value::Null);
    let answer = confirm(&app, &tokens, &form).await;
    let confirmed = answer.ok(200);
    assert_eq!(confirmed["status"], "published");
    let url = confirmed["user"]["avatarUrl"].as_str().unwrap();
    assert_eq!(confirmed["user"]["version"], 2);
    assert_eq!(avatar_url(&app, &tokens).await, url);
    let shown = fetch(url).await;
    assert_eq!((shown.status, &*shown.body), (200, PNG));
    assert_eq!(shown.header("content-type"), Some("image/png"));
    assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
    assert!(shown.header("cache-control").unwrap().contains("immutable"));
    // Nothing is left of the upload itself.
    let name = url.rsplit_once('/').unwrap().1;
    assert_eq!(app.object_keys(), [format!("avatars/{name}")]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirming_again_answers_the_same(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    let first = confirm(&app, &tokens, &form).await.ok(200).clone();
    assert_eq!(confirm(&app, &tokens, &form).await.ok(200), &first);
    // Even when something else was uploaded with the same form meanwhile.
    assert_eq!(post_form(&form, &PNG[..40]).await.status, 204);
    assert_eq!(confirm(&app, &tokens, &form).await.ok(200), &first);
    let url = first["user"]["avatarUrl"].as_str().unwrap();
    assert_eq!(fetch(url).await.body, PNG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmations_at_the_same_time_publish_once() {
    let app = start(Redis).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    let answers = futures_util::future::join_all((0..6).map(|_| confirm(&app, &tokens, &form)));
    let answers = answers.await;
    let first = answers[0].ok(200)["user"]["avatarUrl"].clone();
    for answer in &answers {
        assert_eq!(answer.ok(200)["user"]["avatarUrl"], first);
        assert_eq!(answer.ok(200)["user"]["version"], 2);
    }
    assert_eq!(fetch(first.as_str().unwrap()).await.body, PNG);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_before_is_deleted(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let first = published(&app, &tokens, PNG).await;
    let second = published(&app, &tokens, &other_png()).await;
    assert_ne!(first, second);
    assert_eq!(fetch(&first).await.status, 404);
    assert_eq!(fetch(&second).await.body, other_png());
    assert_eq!(app.object_keys().len(), 1);
    assert_eq!(upload_rows(&app).await.len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_or_replacing_the_address_deletes_the_picture(
    #[values(json!(null), json!("https://thirdwx.qlogo.cn/mmopen/vi_32/a/132"))] new: Value,
) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let url = published(&app, &tokens, PNG).await;
    let change = json!({"avatarUrl": new});
    assert_eq!(
        app.api.change(&tokens.access, &change).await.ok(200)["avatarUrl"],
        new
    );
    assert_eq!(fetch(&url).await.status, 404);
    assert_eq!(
        (app.object_keys(), upload_rows(&app).await),
        (vec![], vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_who_clears_the_address_deletes_the_picture() {
    let app = start(InProcess).await;
    let (root, alice) = (app.administrator("root").await, app.log_in("alice").await);
    let url = published(&app, &alice, PNG).await;
    let change = json!({"avatarUrl": null, "version": 2});
    let changed = app
        .api
        .request("PUT", &format!("/api/v1/users/{}", alice.user_id()))
        .bearer(&root.access)
        .json(&change);
    changed.send().await.ok(200);
    assert_eq!(fetch(&url).await.status, 404);
    assert_eq!(app.object_keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_point_at_a_foreign_picture() {
    let app = start(InProcess).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let url = published(&app, &alice, PNG).await;
    for address in [
        &*url,
        "https://a.cn/x.png",
        "http://tmp/abc.png",
        "wxfile://tmp_abc.png",
    ] {
        let change = json!({"avatarUrl": address});
        let answer = app.api.change(&bob.access, &change).await;
        answer.fails_at(&["avatarUrl"]);
    }
    // What was read can be sent back by its own user, and stays.
    let change = json!({"avatarUrl": url, "nickname": "小明"});
    let user = app.api.change(&alice.access, &change).await.ok(200).clone();
    assert_eq!(
        (&user["avatarUrl"], &user["nickname"]),
        (&json!(url), &json!("小明"))
    );
    assert_eq!(fetch(&url).await.body, PNG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_another_user_is_not_found() {
    let app = start(InProcess).await;
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let form = uploaded(&app, &alice, PNG).await;
    confirm(&app, &bob, &form).await.fails(404, "not_found");
    let unknown = "uploads/00000000000000000000000000000000";
    let answer = app.api.confirm_avatar(&alice.access, unknown).await;
    answer.fails(404, "not_found");
    // Alice's is untouched.
    confirm(&app, &alice, &form).await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_before_the_upload_is_refused() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let form = form(&app, &tokens, PNG.len()).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(409, "upload_missing");
    post_form(&form, PNG).await;
    confirm(&app, &tokens, &form).await.ok(200);
}

#[rstest]
#[case::html(b"<!DOCTYPE html><script>alert(1)</script>")]
#[case::svg(b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>")]
#[case::another_kind(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")]
#[case::noise(b"hello")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_of_another_type_than_declared_is_deleted(#[case] content: &[u8]) {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let before = published(&app, &tokens, PNG).await;
    let form = uploaded(&app, &tokens, content).await;
    confirm(&app, &tokens, &form)
        .await
        .fails(400, "upload_invalid");
    assert_eq!(avatar_url(&app, &tokens).await, before);
    assert!(!app.object_keys().contains(&key(&form).to_owned()));
    assert_eq!(fetch(&before).await.body, PNG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_read_by_nobody() {
    let app = start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let form = uploaded(&app, &tokens, PNG).await;
    let store = format!("{}/{}", form["url"].as_str().unwrap(), key(&form));
    let answer = fetch(&store).await;
    assert_eq!((answer.status, &*answer.code()), (403, "AccessDenied"));
    let cdn = store.replace("/s3/pictures/", "/cdn/");
    assert_eq!(fetch(&cdn).await.status, 404);
    let answer = send(client().delete(&store)).await;
    assert_eq!((answer.status, &*answer.code()), (403, "AccessDenied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bucket_avatars_are_not_configured() {
    let app = TestApp::start(InProcess).await;
    let tokens = app.log_in("alice").await;
    let answer = app.api.begin_avatar(&tokens.access, "image/png", 10).await;
    answer.fails(501, "not_configured");
    let key = "uploads/00000000000000000000000000000000";
    let answer = app.api.confirm_avatar(&tokens.access, key).await;
    answer.fails(501, "not_configured");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_have_a_rate_limit_of_their_own() {
    let app = TestApp::builder(Redis)
        .avatars()
        .set("RATE_LIMIT_AVATAR", "1/h burst 2")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    for _ in 0..2 {
        form(&app, &tokens, 10).await;
    }
    let answer = app.api.begin_avatar(&tokens.access, "image/png", 10).await;
    answer.fails(429, "rate_limited");
    app.api.info(&tokens.access).await.ok(200);
}
