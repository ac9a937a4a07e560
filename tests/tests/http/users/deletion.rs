//! `DELETE /api/v1/users/{id}`, `POST /api/v1/users/batch-delete`, `/api/v1/sagas`

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp, Tokens, capture,
};
use futures_util::join;
use rstest::rstest;
use serde_json::{Value, json};

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

    for wrong in [vec![], vec!["x".to_owned()], vec![NOBODY.to_owned(); 101]] {
        let answer = app.api.delete_users(&root.access, &wrong).await;
        answer.fails_at(&["ids"]);
    }
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
