//! `DELETE /api/v1/users/{id}`, `POST /api/v1/users/batch-delete`, `/api/v1/sagas`

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use futures_util::join;
use rstest::rstest;
use serde_json::{Value, json};
use shared::clock::Clock;

use super::{NOBODY, root_and_alice};
use crate::dynamodb_faults::{Fault, Front};

async fn partition(app: &TestApp, tokens: &Tokens) -> usize {
    let pk = format!("USER#{}", tokens.user_id());
    app.table.partition(&pk).await.len()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_deletes_an_account_at_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let (root, alice) = root_and_alice(&app).await;
    let log = capture();
    let id = alice.user_id();
    let answer = app.api.delete_user(&root.access, &id).await;
    assert_eq!(answer.ok(200)["status"], "deleted");
    assert_eq!(partition(&app, &alice).await, 0);
    app.api
        .info(&alice.access)
        .await
        .fails(401, "session_revoked");
    let lines = log.logs().json_where("audit", &"user_deleted".into());
    let of_alice: Vec<_> = lines.iter().filter(|line| line["user_id"] == *id).collect();
    assert_eq!(of_alice.len(), 1, "{lines:?}");
    assert_eq!(of_alice[0]["administrator_id"], root.user_id());
    // Again: it is known that it was deleted.
    let again = app.api.delete_user(&root.access, &id).await;
    assert_eq!(again.ok(200), answer.ok(200));
    for nobody in [NOBODY, "x"] {
        let answer = app.api.delete_user(&root.access, nobody).await;
        answer.fails(404, "not_found");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_waits_is_deleted_at_once_too(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let (root, alice) = root_and_alice(&app).await;
    let id = alice.user_id();
    let own = app.api.delete_account(&alice.access).await;
    let own = own.ok(202);
    let list = app.api.sagas(&root.access).await;
    let sagas = list.ok(200)["sagas"].as_array().unwrap().clone();
    let [saga] = &sagas[..] else {
        panic!("one saga: {sagas:?}");
    };
    assert_eq!(saga["id"], own["saga"]);
    assert_eq!(
        (&saga["kind"], &saga["step"], &saga["failed"]),
        (&json!("account-deletion"), &json!("cooling"), &json!(false))
    );
    assert_eq!(saga["until"], own["until"]);
    assert!(!format!("{saga}").contains(&id), "{saga}");
    let user = app.api.user(&root.access, &id).await;
    assert_eq!(user.ok(200)["sagas"], json!([saga]));
    let saga = own["saga"].as_str().unwrap();
    let resumed = app.api.resume_saga(&root.access, saga).await;
    assert_eq!(resumed.ok(202)["status"], "waiting");
    // A barred account can't be changed.
    let body = json!({"version": 1, "status": "active"});
    let changed = app.api.change_user(&root.access, &id, &body).await;
    changed.fails(409, "account_deletion_pending");

    let answer = app.api.delete_user(&root.access, &id).await;
    assert_eq!(answer.ok(200)["status"], "deleted");
    assert_eq!(partition(&app, &alice).await, 0);
    let list = app.api.sagas(&root.access).await;
    assert_eq!(list.ok(200)["sagas"], json!([]));
    let resumed = app.api.resume_saga(&root.access, saga).await;
    assert_eq!(resumed.ok(200)["status"], "done");
    for nothing in ["x", "00000000000000000000000000000000"] {
        let answer = app.api.resume_saga(&root.access, nothing).await;
        answer.fails(404, "not_found");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_do_not_delete_themselves(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, _) = root_and_alice(&app).await;
    let answer = app.api.delete_user(&root.access, &root.user_id()).await;
    answer.fails(403, "own_rights");
    app.api.users(&root.access, "").await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_administrators_who_delete_each_other_one_remains() {
    let app = TestApp::start(Redis).await;
    let (one, two) = (
        app.administrator("one").await,
        app.administrator("two").await,
    );
    let (front, api) = Front::of(&app).await;
    let hold = front.hold("TransactWriteItems");
    let (one_id, two_id) = (one.user_id(), two.user_id());
    let release = async {
        // Both have been admitted.
        hold.arrived().await;
        hold.arrived().await;
        drop(hold);
    };
    let (first, second, ()) = join!(
        api.delete_user(&one.access, &two_id),
        api.delete_user(&two.access, &one_id),
        release
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "{first:?} {second:?}");
    assert_eq!(app.count("PROFILE").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_administrator_deletes_is_not_called_back() {
    let app = TestApp::builder(Redis)
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let (root, alice) = root_and_alice(&app).await;
    let (front, broken) = Front::of(&app).await;
    // Ending the sessions.
    front.breaks_only("SESSION#", "UpdateItem", Fault::Fails);
    let answer = broken.delete_user(&root.access, &alice.user_id()).await;
    answer.fails(503, "unavailable");
    let again = app.api.call_back(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    assert_eq!(partition(&app, &alice).await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_says_what_became_of_each(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let mut people = vec![alice.user_id()];
    for number in 0..30 {
        people.push(app.log_in(&format!("person{number}")).await.user_id());
    }
    let mut ids = people.clone();
    ids.extend([NOBODY.to_owned(), root.user_id(), alice.user_id()]);
    let answer = app.api.delete_users(&root.access, &ids).await;
    let outcomes = answer.ok(200)["outcomes"].as_array().unwrap();
    // Each once, though alice was named twice.
    assert_eq!(outcomes.len(), people.len() + 2);
    let of = |id: &str| -> &Value {
        let found = outcomes.iter().find(|outcome| outcome["id"] == id);
        found.unwrap_or_else(|| panic!("no outcome of {id}"))
    };
    for id in &people {
        assert_eq!(of(id)["status"], "deleted", "{}", of(id));
    }
    assert_eq!(of(NOBODY)["reason"], "not_found");
    assert_eq!(of(&root.user_id())["reason"], "own_rights");
    assert_eq!(app.count("PROFILE").await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_breaks_a_rule_deletes_nobody(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = root_and_alice(&app).await;
    let before = app.rows().await;
    let id = alice.user_id();
    let too_many: Vec<_> = (0..100)
        .map(|number| format!("0193c0de-0000-7000-8000-{number:012}"))
        .chain([id.clone()])
        .collect();
    for (body, field) in [
        (json!({"ids": []}), "ids"),
        (json!({"ids": [id, "x"]}), "ids"),
        (json!({"ids": [id, id.to_uppercase()]}), "ids"),
        (json!({"ids": [format!("USER#{id}")]}), "ids"),
        (json!({"ids": too_many}), "ids"),
        (json!({"ids": vec![id.clone(); 101]}), "ids"),
        (json!({"ids": [id, 1]}), "ids"),
        (json!({"ids": [id, null]}), "ids"),
        (json!({"ids": null}), "ids"),
        (json!({"ids": id}), "ids"),
        (json!({}), "ids"),
        (json!({"ids": [id], "force": true}), "force"),
        (json!([id]), ""),
    ] {
        let request = app.api.request("POST", "/api/v1/users/batch-delete");
        let answer = request.bearer(&root.access).json(&body).send().await;
        answer.fails(400, "invalid_request");
        let found = answer.data()["fields"][0]["field"].as_str().unwrap();
        assert!(found.starts_with(field), "{body}: {answer:?}");
    }
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_hundred_of_many_sagas_are_shown(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let (root, alice) = root_and_alice(&app).await;
    app.api.delete_account(&alice.access).await.ok(202);
    let row = app.table.items_under("SAGA#").await.remove(0);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    app.table.import((0..150).map(|number| {
        let (mut row, id) = (row.clone(), format!("{number:032x}"));
        row.insert("pk".to_owned(), text(&format!("SAGA#{id}")));
        row.insert("id".to_owned(), text(&id));
        // All are due before alice's, the first one first.
        let due = format!(
            "2026-11-24T00:{:02}:{:02}.000Z#{id}",
            number / 60,
            number % 60
        );
        row.insert("gsi1sk".to_owned(), text(&due));
        row
    }));
    // No parameter asks for more.
    let request = app.api.request("GET", "/api/v1/sagas?limit=1000");
    for list in [
        app.api.sagas(&root.access).await,
        request.bearer(&root.access).send().await,
    ] {
        let sagas = list.ok(200)["sagas"].as_array().unwrap();
        let ids: Vec<_> = sagas.iter().map(|saga| saga["id"].clone()).collect();
        let wanted: Vec<_> = (0..100)
            .map(|number| json!(format!("{number:032x}")))
            .collect();
        assert_eq!(ids, wanted);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_id_of_a_deletion_continues_it(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::builder(state)
        .set("DELETION_COOLING_DAYS", "7")
        .start()
        .await;
    let (root, alice) = root_and_alice(&app).await;
    let own = app.api.delete_account(&alice.access).await;
    let id = own.ok(202)["saga"].as_str().unwrap().to_owned();
    let mut row = app.table.items_under("SAGA#").await.remove(0);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    // A saga of a kind that this version of the code does not know.
    let foreign = "0".repeat(32);
    row.insert("pk".to_owned(), text(&format!("SAGA#{foreign}")));
    row.insert("id".to_owned(), text(&foreign));
    row.insert("kind".to_owned(), text("of-a-later-version"));
    app.table.import([row]);
    let before = app.rows().await;
    for wrong in [
        &foreign,
        &id.to_uppercase(),
        &id[1..],
        &format!("{id}0"),
        &format!("SAGA%23{id}"),
        &alice.user_id(),
        "%00",
    ] {
        let resumed = app.api.resume_saga(&root.access, wrong).await;
        resumed.fails(404, "not_found");
    }
    assert!(app.rows().await == before, "rows were written");
    let list = app.api.sagas(&root.access).await;
    let kinds: Vec<_> = list.ok(200)["sagas"].as_array().unwrap().clone();
    let foreign = kinds.iter().find(|saga| saga["id"] == *foreign).unwrap();
    assert_eq!(foreign["kind"], "of-a-later-version");
    assert_eq!(foreign.get("step"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_stopped_is_seen_and_continued() {
    let app = TestApp::start(Redis).await;
    let (root, alice) = root_and_alice(&app).await;
    let (front, broken) = Front::of(&app).await;
    front.breaks_only("WX#", "TransactWriteItems", Fault::Fails);
    let answer = broken.delete_user(&root.access, &alice.user_id()).await;
    answer.fails(503, "unavailable");
    let list = app.api.sagas(&root.access).await;
    let saga = &list.ok(200)["sagas"][0];
    assert_eq!(
        (&saga["step"], &saga["failed"]),
        (&json!("identities"), &json!(true))
    );
    let saga = saga["id"].as_str().unwrap();
    let resumed = app.api.resume_saga(&root.access, saga).await;
    assert_eq!(resumed.ok(200)["status"], "done");
    assert_eq!(partition(&app, &alice).await, 0);
}

/// A lease ends at the time in its row. One that ends later than any can was written by a clock that
/// was wrong, and holds nobody up.
#[rstest]
#[case::as_any(15_000, false)]
#[case::of_a_clock_that_jumped(61_000, true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_is_free_when_its_lease_is_over(#[case] lease: i64, #[case] is_free: bool) {
    let app = TestApp::start(Redis).await;
    let (root, alice) = root_and_alice(&app).await;
    let (front, broken) = Front::of(&app).await;
    front.breaks_only("WX#", "TransactWriteItems", Fault::Fails);
    let answer = broken.delete_user(&root.access, &alice.user_id()).await;
    answer.fails(503, "unavailable");
    // Another process has it, and is not heard of again.
    let saga = app.table.items_under("SAGA#").await.remove(0);
    let until = Clock::Manual(app.clock.clone()).now().as_millisecond() + lease;
    let taken = app.table.client().update_item().table_name(TABLE);
    let taken = taken
        .key("pk", saga["pk"].clone())
        .key("sk", saga["sk"].clone())
        .update_expression("SET #owner = :owner, leaseUntil = :until")
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_values(":owner", AttributeValue::S("0".repeat(32)))
        .expression_attribute_values(":until", AttributeValue::N(until.to_string()));
    taken.send().await.unwrap();
    let id = saga["id"].as_s().unwrap();
    if !is_free {
        for _ in 0..2 {
            let resumed = app.api.resume_saga(&root.access, id).await;
            assert_eq!(resumed.ok(202)["status"], "unfinished");
            app.clock.advance_seconds(7);
        }
        app.clock.advance_seconds(2);
    }
    let resumed = app.api.resume_saga(&root.access, id).await;
    assert_eq!(resumed.ok(200)["status"], "done");
    assert_eq!(partition(&app, &alice).await, 0);
}
