//! `GET /api/v1/config`

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp,
};
use rstest::rstest;
use serde_json::{Value, json};

use super::create;

fn keys(page: &Value) -> Vec<&str> {
    let values = page["values"].as_array().unwrap().iter();
    values.map(|value| value["key"].as_str().unwrap()).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_says_what_there_is_and_who_wrote_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (root, other) = (
        app.administrator("root").await,
        app.administrator("other").await,
    );
    let empty = app.api.list_config(&root.access, "").await;
    assert_eq!(*empty.ok(200), json!({"values": [], "cursor": null}));
    create(&app.api, &root, "b", "secret").await;
    create(&app.api, &root, "a.2", "x").await;
    app.clock.advance_seconds(5);
    let change = json!({"value": {"a": [1.5]}, "version": 1});
    app.api
        .put_config(&other.access, "b", &change)
        .await
        .ok(200);
    let list = app.api.list_config(&root.access, "").await;
    let expected = json!({"values": [
        {"key": "a.2", "version": 1, "size": 3, "updatedAt": "2026-11-23T08:00:00.123Z", "updatedBy": root.user_id()},
        {"key": "b", "version": 2, "size": 11, "updatedAt": "2026-11-23T08:00:05.123Z", "updatedBy": other.user_id()},
    ], "cursor": null});
    assert_eq!(*list.ok(200), expected);
    assert_eq!(list.header("cache-control"), Some("no-store"));
    // A deleted value is not in it, and one that is written again is.
    app.api.delete_config(&root.access, "b").await.ok(200);
    let list = app.api.list_config(&root.access, "").await;
    assert_eq!(keys(list.ok(200)), ["a.2"]);
    let again = json!({"value": 1});
    app.api.put_config(&root.access, "b", &again).await.ok(200);
    let list = app.api.list_config(&root.access, "").await;
    assert_eq!(keys(list.ok(200)), ["a.2", "b"]);
    assert_eq!(list.data()["values"][1]["version"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_every_key_once_while_others_come_and_go() {
    let app = TestApp::start(Redis).await;
    let root = app.administrator("root").await;
    let all: Vec<_> = (0..7).map(|number| format!("key{number}")).collect();
    for key in &all {
        create(&app.api, &root, key, "x").await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for round in 0.. {
        let list = app
            .api
            .list_config(&root.access, &format!("?limit=3{cursor}"))
            .await;
        let page = list.ok(200).clone();
        seen.extend(keys(&page).into_iter().map(str::to_owned));
        // Before what was read, and among it.
        create(&app.api, &root, &format!("a{round}"), "x").await;
        if round == 0 {
            app.api.delete_config(&root.access, "key1").await.ok(200);
        }
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        assert_eq!(keys(&page).len(), 3);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all);
    // A last page that is full is the last one.
    let list = app
        .api
        .list_config(&root.access, "?limit=3&cursor=key3")
        .await;
    assert_eq!(keys(list.ok(200)), ["key4", "key5", "key6"]);
    assert_eq!(list.data()["cursor"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_are_not_understood_are_refused() {
    let app = TestApp::start(InProcess).await;
    let root = app.administrator("root").await;
    for (query, field, rule) in [
        ("?limit=0", "limit", "limit"),
        ("?limit=101", "limit", "limit"),
        ("?limit=", "limit", "limit"),
        ("?cursor=", "cursor", "cursor"),
        ("?cursor=UPPER", "cursor", "cursor"),
        ("?cursor=a%23b", "cursor", "cursor"),
        ("?cursor=%FF", "cursor", "cursor"),
    ] {
        let answer = app.api.list_config(&root.access, query).await;
        let data = answer.fails(400, "invalid_request");
        let violation = &data["fields"][0];
        assert_eq!(
            (&violation["field"], &violation["rule"]),
            (&json!(field), &json!(rule)),
            "{query}"
        );
    }
    for query in ["?status=active", "?limit=1&limit=2"] {
        let answer = app.api.list_config(&root.access, query).await;
        answer.fails(400, "invalid_request");
    }
}
