//! Deleted means deleted: nothing about the user is left anywhere, whatever happens meanwhile.

use std::{collections::BTreeSet, fmt::Write};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        START,
        SharedState::{self, InProcess, Redis},
        TestApp, TestAppBuilder, Tokens,
    },
    upload::{PNG, post_form},
};
use futures_util::join;
use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use rstest::rstest;
use serde_json::{Value, json};
use shared::users::rows::{ROW_KINDS, RowKind};
use wechat_simulator::{UnionId, UserChange};

use super::{CONSENTS, with_everything};
use crate::dynamodb_faults::{Fault, Front};

const A_DAY: i64 = 24 * 60 * 60;

/// An app with [`CONSENTS`] and avatars, configured further.
async fn start(
    state: SharedState,
    configure: impl FnOnce(TestAppBuilder) -> TestAppBuilder,
) -> TestApp {
    let app = TestApp::builder(state).set("CONSENTS", CONSENTS).avatars();
    configure(app).start().await
}

/// What identifies alice: ids, number, nickname.
struct Person {
    tokens: Tokens,
    texts: Vec<String>,
}

/// A picture that is shown, and one that was uploaded.
async fn pictures(app: &TestApp, person: &str) {
    let tokens = app.log_in(person).await;
    for is_confirmed in [true, false] {
        let begun = app.api.begin_avatar(&tokens.access, "image/png", PNG.len());
        let form = begun.await.ok(200).clone();
        assert_eq!(post_form(&form, PNG).await.status, 204);
        if is_confirmed {
            let key = form["key"].as_str().unwrap();
            app.api.confirm_avatar(&tokens.access, key).await.ok(200);
        }
    }
    assert_eq!(app.object_keys().len(), 2);
}

/// Alice, with pictures and a row of every kind, and what all rows say of her.
async fn alice(app: &TestApp) -> Person {
    pictures(app, "alice").await;
    let tokens = with_everything(app, "alice").await;
    let rows = app.rows().await;
    let kinds: BTreeSet<_> = rows
        .keys()
        .filter_map(|(pk, sk)| Some(RowKind::of(pk, sk)?.export.section))
        .collect();
    let all: BTreeSet<_> = ROW_KINDS.iter().map(|kind| kind.export.section).collect();
    assert_eq!(kinds, all, "a row of each kind, so that none is forgotten");
    let user = app.api.info(&tokens.access).await;
    let user = user.ok(200);
    let mut texts = vec![tokens.user_id()];
    texts.extend(["nickname", "phone"].map(|field| user[field].as_str().unwrap().to_owned()));
    for (pk, _) in rows.keys().filter(|(pk, _)| !pk.starts_with("SAGA#")) {
        let ids = pk.split('#').skip(1).filter(|part| *part != APP_ID);
        texts.extend(ids.map(str::to_owned));
    }
    texts.retain(|text| !text.starts_with("wx"));
    Person { tokens, texts }
}

/// Every key and value in Redis, as text; nothing where there is no Redis.
async fn redis_content(connection: &mut MultiplexedConnection) -> String {
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(connection)
        .await
        .unwrap();
    let mut content = String::new();
    for key in keys {
        let value: Vec<u8> = redis::cmd("GET")
            .arg(&key)
            .query_async(connection)
            .await
            .unwrap();
        writeln!(content, "{key} {}", String::from_utf8_lossy(&value)).unwrap();
    }
    content
}

/// Nothing about the person is left in the table but the record of the deletion, which does not say
/// whose it was; and no object in the store.
async fn assert_gone(app: &TestApp, person: &Person) {
    assert_eq!(app.object_keys(), Vec::<String>::new());
    let rows = app.rows().await;
    let content = format!("{rows:?}");
    for text in &person.texts {
        assert!(!content.contains(text), "{text} is left in {content}");
    }
    let partition = format!("USER#{}", person.tokens.user_id());
    assert!(app.table.partition(&partition).await.is_empty());
}

async fn assert_refused(app: &TestApp, tokens: &Tokens) {
    let info = app.api.info(&tokens.access).await;
    info.fails(401, "session_revoked");
    let sessions = app.api.sessions(&tokens.access).await;
    sessions.fails(401, "session_revoked");
    let refreshed = app.api.refresh(&tokens.refresh).await;
    assert_eq!(refreshed.status, 401, "{refreshed:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_deleted_account(#[values(InProcess, Redis)] state: SharedState) {
    let mut app = start(
        state,
        |app| {
            if state == Redis { app.own_redis() } else { app }
        },
    )
    .await;
    let person = alice(&app).await;
    let answer = app.api.delete_account(&person.tokens.access).await;
    let deletion = answer.ok(200);
    assert_eq!(deletion["status"], "deleted");
    assert_gone(&app, &person).await;
    let rows = app.rows().await;
    let [((pk, _), saga)] = &rows.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one row, the record of the deletion");
    };
    assert_eq!(*pk, format!("SAGA#{}", deletion["saga"].as_str().unwrap()));
    assert_eq!(saga["outcome"].as_s().unwrap(), "done");
    assert!(!saga.contains_key("subject") && !saga.contains_key("gsi1pk"));
    let expires: i64 = saga["ttl"].as_n().unwrap().parse().unwrap();
    let now: Timestamp = START.parse().unwrap();
    assert_eq!(expires, now.as_second() + 30 * A_DAY);
    assert_refused(&app, &person.tokens).await;
    if state == Redis {
        // The refused requests looked the user up again, and their tombstone stays for a minute;
        // the outcomes of logins are kept for five, for requests that are repeated.
        let profile = format!("{{u:{}}}:profile", person.tokens.user_id());
        let expires_soon = |line: &&str| line.starts_with(&profile) || line.starts_with("{login:");
        let mut connection = app.redis().connection().await;
        let content = redis_content(&mut connection).await;
        for line in content.lines().filter(|line| !expires_soon(line)) {
            for text in &person.texts {
                assert!(!line.contains(text.as_str()), "{text} is left in {line}");
            }
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_person_is_a_new_user_afterwards(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state, |app| app).await;
    let person = alice(&app).await;
    app.api.delete_account(&person.tokens.access).await.ok(200);
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    let again = Tokens::of(&again);
    assert_ne!(again.user_id(), person.tokens.user_id());
    let info = app.api.info(&again.access).await;
    assert_eq!(info.ok(200)["phone"], Value::Null);
    // The second account can be deleted too.
    app.api.delete_account(&again.access).await.ok(200);
    assert_refused(&app, &again).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_can_be_called_back_while_it_is_only_barred(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, |app| app.set("DELETION_COOLING_DAYS", "7")).await;
    let person = alice(&app).await;
    let before = app.api.info(&person.tokens.access).await;
    let answer = app.api.delete_account(&person.tokens.access).await;
    let deletion = answer.ok(202);
    assert_eq!(deletion["status"], "barred");
    assert_refused(&app, &person.tokens).await;
    let login = app.api.login(&app.code("alice")).await;
    let pending = login.fails(409, "account_deletion_pending");
    assert_eq!(pending["until"], deletion["until"]);

    let back = app.api.call_back(&app.code("alice")).await;
    let back = Tokens::of(&back);
    assert_eq!(back.user_id(), person.tokens.user_id());
    let after = app.api.info(&back.access).await;
    for field in ["nickname", "phone", "status", "role"] {
        assert_eq!(before.ok(200)[field], after.ok(200)[field], "{field}");
    }

    // A second time, and to its end.
    app.api.delete_account(&back.access).await.ok(202);
    app.clock.advance_seconds(7 * A_DAY - 1);
    let login = app.api.login(&app.code("alice")).await;
    login.fails(409, "account_deletion_pending");
    app.clock.advance_seconds(2);
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    let partition = format!("USER#{}", person.tokens.user_id());
    assert!(app.table.partition(&partition).await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_at_the_same_time_are_one(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state, |app| app).await;
    let other = app.another_instance().await;
    let person = alice(&app).await;
    let access = &person.tokens.access;
    let (here, there) = join!(app.api.delete_account(access), other.delete_account(access));
    for answer in [&here, &there] {
        // The later one finds it done, under way, or its own token refused.
        assert!([200, 202, 401].contains(&answer.status), "{answer:?}");
    }
    assert_gone(&app, &person).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_began_before_leaves_no_session() {
    let app = start(Redis, |app| app).await;
    let person = alice(&app).await;
    let (front, slow) = Front::of(&app).await;
    let code = app.code("alice");
    let hold = front.hold("PutItem");
    let (login, ()) = join!(slow.login(&code), async {
        hold.arrived().await;
        let access = &person.tokens.access;
        app.api.delete_account(access).await.ok(200);
        drop(hold);
    });
    assert_ne!(login.status, 200, "{login:?}");
    assert_gone(&app, &person).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_stopped_is_completed_by_the_next_login() {
    let app = start(Redis, |app| app).await;
    for operation in ["TransactWriteItems", "DeleteItem", "Query"] {
        let person = alice(&app).await;
        let (front, broken) = Front::of(&app).await;
        // Not the first transaction, without which nothing has begun.
        let only = if operation == "TransactWriteItems" {
            "WX#"
        } else {
            ""
        };
        front.breaks_only(only, operation, Fault::Fails);
        let answer = broken.delete_account(&person.tokens.access).await;
        answer.fails(503, "unavailable");
        assert_refused(&app, &person.tokens).await;
        // The next login of the person, at an instance that reaches the table.
        let again = app.api.login(&app.code("alice")).await;
        assert_eq!(again.ok(200)["isNewUser"], true, "{operation}");
        let partition = format!("USER#{}", person.tokens.user_id());
        let left = app.table.partition(&partition).await;
        assert!(left.is_empty(), "{operation}: {left:?}");
        app.api
            .delete_account(&Tokens::of(&again).access)
            .await
            .ok(200);
        assert_gone(&app, &person).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_whose_answers_are_lost_goes_on() {
    let app = start(Redis, |app| app).await;
    for operation in ["PutItem", "UpdateItem", "TransactWriteItems", "DeleteItem"] {
        for lost in 1..4 {
            let person = alice(&app).await;
            let (front, api) = Front::of(&app).await;
            front.breaks(operation, Fault::Lost, lost);
            let answer = api.delete_account(&person.tokens.access).await;
            // An operation is tried three times.
            if lost < 3 {
                assert_eq!(answer.ok(200)["status"], "deleted", "{operation} {lost}");
            } else if answer.status != 200 {
                answer.fails(503, "unavailable");
                let again = app.api.login(&app.code("alice")).await;
                assert_eq!(again.ok(200)["isNewUser"], true, "{operation}");
                let again = Tokens::of(&again);
                app.api.delete_account(&again.access).await.ok(200);
            }
            assert_gone(&app, &person).await;
        }
    }
}

/// Instead of its answer, a process dies: the next one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_not_called_off_completely_can_be() {
    let app = start(Redis, |app| app.set("DELETION_COOLING_DAYS", "7")).await;
    let person = alice(&app).await;
    app.api.delete_account(&person.tokens.access).await.ok(202);
    let saga = app.table.items_under("SAGA#").await.remove(0);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", saga["pk"].clone())
        .key("sk", saga["sk"].clone())
        .update_expression("SET #position = :three, direction = :back REMOVE notBefore")
        .expression_attribute_names("#position", "position")
        .expression_attribute_values(":three", AttributeValue::N("3".into()))
        .expression_attribute_values(":back", text("back"));
    update.send().await.unwrap();
    let back = Tokens::of(&app.api.call_back(&app.code("alice")).await);
    assert_eq!(back.user_id(), person.tokens.user_id());
    app.api.info(&back.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_with_different_union_ids_leave_no_link(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, |app| app).await;
    let root = app.administrator("root").await;
    let open_id = |app_id| app.wechat.open_id("alice", Some(app_id)).unwrap();
    for there in [json!("union-there"), Value::Null] {
        let mut identities = vec![
            json!({"appId": APP_ID, "openId": open_id(APP_ID), "unionId": "union-here"}),
            json!({"appId": OTHER_APP_ID, "openId": open_id(OTHER_APP_ID)}),
        ];
        if !there.is_null() {
            identities[1]["unionId"] = there;
        }
        let person = json!({"nickname": "alice 小", "identities": identities});
        app.api.move_in(&root.access, &person).await.ok(200);
        let alice = app.log_in("alice").await;
        app.api.delete_account(&alice.access).await.ok(200);
        let rows = format!("{:?}", app.rows().await);
        for gone in ["union-here", "union-there", &alice.user_id()] {
            assert!(!rows.contains(gone), "{gone} is left in {rows}");
        }
    }
}

/// As versions before this one could leave it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_union_link_to_nobody_is_replaced_by_a_login(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, |app| app).await;
    let change = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    let first = app.log_in("alice").await;
    let link = app.table.items_under("UNION#").await.remove(0);
    app.api.delete_account(&first.access).await.ok(200);
    let put = app.table.client().put_item().table_name(TABLE);
    put.set_item(Some(link)).send().await.unwrap();
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], true);
    let link = app.table.items_under("UNION#").await.remove(0);
    assert_eq!(*link["uid"].as_s().unwrap(), Tokens::of(&again).user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_caller_is_deleted(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state, |app| app).await;
    let bob = app.log_in("bob").await;
    let person = alice(&app).await;
    app.api.delete_account(&person.tokens.access).await.ok(200);
    app.api.info(&bob.access).await.ok(200);
    app.api.refresh(&bob.refresh).await.ok(200);
    app.api
        .delete_account("x")
        .await
        .fails(401, "token_invalid");
    app.api.info(&bob.access).await.ok(200);
}
