//! A person who turns out to be two users: `UNION_CONFLICT`.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;
use wechat_simulator::{UnionId, UserChange};

use crate::dynamodb_faults::{Fault, Front};

async fn start(state: SharedState, conflict: &str) -> TestApp {
    let app = TestApp::builder(state).set("UNION_CONFLICT", conflict);
    app.start().await
}

async fn log_in_there(app: &TestApp, person: &str) -> Tokens {
    let code = app.code_in(OTHER_APP_ID, person);
    Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await)
}

/// Somebody whom WeChat told no union id in one mini-program, and then one in the other.
async fn two_users(app: &TestApp, person: &str) -> (Tokens, Tokens) {
    let older = app.log_in(person).await;
    // Ids made in the same millisecond have no order.
    app.clock.advance_seconds(1);
    let change = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user(person, change).unwrap();
    let newer = log_in_there(app, person).await;
    assert_ne!(older.user_id(), newer.user_id());
    (older, newer)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_users_are_kept(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state, "keep").await;
    let (older, newer) = two_users(&app, "alice").await;
    for _ in 0..2 {
        assert_eq!(app.log_in("alice").await.user_id(), older.user_id());
        assert_eq!(log_in_there(&app, "alice").await.user_id(), newer.user_id());
    }
    assert_eq!(app.count("PROFILE").await, 2);
    assert_eq!(app.count("SAGA").await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_user_is_merged_into_the_older_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, "merge").await;
    let (older, newer) = two_users(&app, "alice").await;
    let body = json!({"nickname": "小明"});
    app.api.change(&newer.access, &body).await.ok(200);
    let login = app.api.login(&app.code("alice")).await;
    assert_eq!(login.ok(200)["isNewUser"], false);
    assert_eq!(login.data()["user"]["id"], older.user_id());
    assert_eq!(login.data()["user"]["nickname"], "小明");
    app.api
        .info(&newer.access)
        .await
        .fails(401, "session_revoked");
    for tokens in [
        &older,
        &Tokens::of(&login),
        &log_in_there(&app, "alice").await,
    ] {
        assert_eq!(tokens.user_id(), older.user_id());
        app.api.info(&tokens.access).await.ok(200);
    }
    assert_eq!(app.count("PROFILE").await, 1);
    let rows = format!("{:?}", app.rows().await);
    assert!(!rows.contains(&newer.user_id()), "{rows}");
    let link = app.table.items_under("UNION#").await.remove(0);
    assert_eq!(*link["uid"].as_s().unwrap(), older.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_user_survives_also_where_they_have_the_link(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, "merge").await;
    let older = log_in_there(&app, "alice").await;
    app.clock.advance_seconds(1);
    let newer = app.log_in("alice").await;
    let change = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
    log_in_there(&app, "alice").await;
    assert_ne!(newer.user_id(), older.user_id());
    assert_eq!(app.log_in("alice").await.user_id(), older.user_id());
    app.api
        .info(&newer.access)
        .await
        .fails(401, "session_revoked");
    app.api.info(&older.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_were_kept_apart_are_merged_once_that_is_wanted(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state);
    let app = if state == Redis { app.own_redis() } else { app };
    let mut app = app.start().await;
    let (older, _) = two_users(&app, "alice").await;
    app.log_in("alice").await;
    app.api = app
        .another_instance_with(&[("UNION_CONFLICT", "merge")])
        .await;
    // What is remembered of the last logins expires after a day.
    if state == Redis {
        app.redis().flushall().await;
    }
    app.log_in("alice").await;
    assert_eq!(log_in_there(&app, "alice").await.user_id(), older.user_id());
    assert_eq!(app.count("PROFILE").await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_whom_one_is_not_active_are_kept_apart(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state, "merge").await;
    let (older, newer) = two_users(&app, "alice").await;
    app.disable(&newer.user_id()).await;
    assert_eq!(app.log_in("alice").await.user_id(), older.user_id());
    let there = app.code_in(OTHER_APP_ID, "alice");
    let refused = app.api.login_in(OTHER_APP_ID, &there).await;
    refused.fails(403, "user_disabled");

    let (older, newer) = two_users(&app, "bob").await;
    app.disable(&older.user_id()).await;
    let refused = app.api.login(&app.code("bob")).await;
    refused.fails(403, "user_disabled");
    assert_eq!(log_in_there(&app, "bob").await.user_id(), newer.user_id());
    assert_eq!(app.count("SAGA").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_the_same_time_end_in_one_account() {
    let app = start(Redis, "merge").await;
    let others = [app.another_instance().await, app.another_instance().await];
    for round in 0..5 {
        let person = format!("person{round}");
        let (older, newer) = two_users(&app, &person).await;
        let logins = [&app.api, &others[0], &others[1]]
            .into_iter()
            .cycle()
            .take(9);
        let logins = logins.enumerate().map(|(at, api)| {
            let app_id = if at % 2 == 0 { APP_ID } else { OTHER_APP_ID };
            let code = app.code_in(app_id, &person);
            async move { api.login_in(app_id, &code).await }
        });
        for answer in join_all(logins).await {
            match answer.status {
                200 => {}
                // Ended by the merge while it was on its way.
                401 => {
                    answer.fails(401, "session_revoked");
                }
                _ => {
                    answer.fails(503, "unavailable");
                }
            }
        }
        for tokens in [app.log_in(&person).await, log_in_there(&app, &person).await] {
            assert_eq!(tokens.user_id(), older.user_id(), "{round}");
        }
        let rows = format!("{:?}", app.rows().await);
        assert!(!rows.contains(&newer.user_id()), "{rows}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_stops_is_completed_by_a_login_of_either_identity() {
    let app = start(Redis, "merge").await;
    for (number, operation) in ["TransactWriteItems", "DeleteItem", "Query", "UpdateItem"]
        .into_iter()
        .enumerate()
    {
        let person = format!("person{number}");
        let (older, newer) = two_users(&app, &person).await;
        let body = json!({"nickname": "小明"});
        app.api.change(&newer.access, &body).await.ok(200);
        let (front, broken) = Front::of(&app).await;
        // Not the transaction with which it begins.
        let only = match operation {
            "TransactWriteItems" => "AND version = :read",
            "UpdateItem" => "SESSION#",
            _ => "",
        };
        front.breaks_only(only, operation, Fault::Fails);
        let answer = broken.login(&app.code(&person)).await;
        answer.fails(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        for tokens in [&older, &newer] {
            app.api
                .info(&tokens.access)
                .await
                .fails(401, "session_revoked");
        }
        let tokens = if number % 2 == 0 {
            app.log_in(&person).await
        } else {
            log_in_there(&app, &person).await
        };
        assert_eq!(tokens.user_id(), older.user_id(), "{operation}");
        let rows = format!("{:?}", app.rows().await);
        assert!(!rows.contains(&newer.user_id()), "{operation} {rows}");
        app.api.info(&older.access).await.ok(200);
    }
}
