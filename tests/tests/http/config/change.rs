//! `PUT` and `DELETE /api/v1/config/{key}`

use e2e::{
    http::Answer,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use super::{BANNER, create};
use crate::dynamodb_faults::{Fault, Front};

/// Sends a change that was made for this version, by the header.
async fn if_match(app: &TestApp, root: &Tokens, method: &str, tag: &str, body: &Value) -> Answer {
    let request = app.api.request(method, BANNER).bearer(&root.access);
    request.header("if-match", tag).json(body).send().await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_visible_at_once_everywhere(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let other = if state == Redis {
        app.another_instance().await
    } else {
        app.api.clone()
    };
    create(&app.api, &root, "home.banner", "one").await;
    let read = async || other.config("home.banner").await.ok(200)["value"].clone();
    assert_eq!(read().await, "one");
    let two = if_match(&app, &root, "PUT", "\"1\"", &json!({"value": "two"})).await;
    assert_eq!(two.ok(200)["version"], 2);
    assert_eq!(two.header("etag"), Some("\"2\""));
    assert_eq!(two.header("cache-control"), Some("no-store"));
    assert_eq!(read().await, "two");
    let three = json!({"value": null, "version": 2});
    app.api
        .put_config(&root.access, "home.banner", &three)
        .await
        .ok(200);
    assert_eq!(read().await, Value::Null);
    if_match(&app, &root, "DELETE", "\"3\"", &json!({}))
        .await
        .ok(200);
    other.config("home.banner").await.fails(404, "not_found");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_versions_of_a_key_never_start_again(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "one").await;
    app.api
        .delete_config(&root.access, "home.banner")
        .await
        .ok(200);
    let again = json!({"value": "again"});
    let again = app
        .api
        .put_config(&root.access, "home.banner", &again)
        .await;
    assert_eq!(again.ok(200)["version"], 3);
    // A caller who has read the first version does not overwrite this one.
    let late = if_match(&app, &root, "PUT", "\"1\"", &json!({"value": "late"})).await;
    late.fails(412, "version_mismatch");
    assert_eq!(
        app.api.config("home.banner").await.ok(200)["value"],
        "again"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_another_version_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "one").await;
    let body = |version: u64| json!({"value": "lost", "version": version});
    for version in [0, 2, u64::MAX] {
        let lost = body(version);
        let answer = app.api.put_config(&root.access, "home.banner", &lost).await;
        answer.fails(409, "conflict");
        let tag = format!("\"{version}\"");
        let put = if_match(&app, &root, "PUT", &tag, &json!({"value": "lost"})).await;
        put.fails(412, "version_mismatch");
        let delete = if_match(&app, &root, "DELETE", &tag, &json!({})).await;
        delete.fails(412, "version_mismatch");
    }
    // Without a version, it is a new value.
    let new = json!({"value": "lost"});
    let new = app.api.put_config(&root.access, "home.banner", &new).await;
    new.fails(409, "conflict");
    assert_eq!(app.api.config("home.banner").await.ok(200)["value"], "one");
    // What is not there has no version.
    let absent = app.api.put_config(&root.access, "absent", &body(1)).await;
    absent.fails(409, "conflict");
    app.api
        .delete_config(&root.access, "absent")
        .await
        .fails(404, "not_found");
    app.api
        .delete_config(&root.access, "home.banner")
        .await
        .ok(200);
    app.api
        .delete_config(&root.access, "home.banner")
        .await
        .fails(404, "not_found");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_changes_at_the_same_time_one_is_made(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    create(&app.api, &root, "home.banner", "one").await;
    let changes = (0..8).map(async |number| {
        let body = json!({"value": number, "version": 1});
        let answer = app.api.put_config(&root.access, "home.banner", &body).await;
        (number, answer)
    });
    let answers = join_all(changes).await;
    let won: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| answer.status == 200)
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
        answer.fails(409, "conflict");
    }
    assert_eq!(
        app.api.config("home.banner").await.ok(200)["value"],
        won[0].0
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_was_lost_is_made_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let (front, api) = Front::of(&app).await;
    for (version, value) in [
        (1, json!({"value": "a"})),
        (2, json!({"value": "b", "version": 1})),
    ] {
        front.breaks("UpdateItem", Fault::Lost, 1);
        let answer = api.put_config(&root.access, "home.banner", &value).await;
        assert_eq!(answer.ok(200)["version"], version);
        assert_eq!(front.heal(), 2);
    }
    front.breaks("UpdateItem", Fault::Lost, 1);
    api.delete_config(&root.access, "home.banner").await.ok(200);
    assert_eq!(front.heal(), 2);
    api.config("home.banner").await.fails(404, "not_found");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failure_the_value_is_as_it_was_or_as_it_should_be(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let (front, api) = Front::of(&app).await;
    create(&api, &root, "home.banner", "one").await;
    api.config("home.banner").await.ok(200);
    for (fault, wanted) in [(Fault::Throttled, "one"), (Fault::Lost, "two")] {
        front.breaks("UpdateItem", fault, usize::MAX);
        let body = json!({"value": "two", "version": 1});
        let answer = api.put_config(&root.access, "home.banner", &body).await;
        answer.fails(503, "unavailable");
        front.heal();
        // No cache holds what was replaced by a write whose answers were all lost.
        assert_eq!(api.config("home.banner").await.ok(200)["value"], wanted);
    }
}
