//! Which user a login belongs to.

use std::collections::BTreeSet;

use e2e::{
    dynamodb::Item,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;
use tokio::{join, sync::Notify};
use wechat_simulator::{UnionId, UserChange};

use crate::dynamodb_faults::Front;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_creates_a_user(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let answer = app.api.login(&app.code("alice")).await;
    let tokens = Tokens::of(&answer);
    let user = json!({
        "id": tokens.user_id(), "nickname": null, "avatarUrl": null, "gender": null, "phone": null, "role": "user",
        "status": "active", "createdAt": "2026-11-23T08:00:00.123Z", "updatedAt": "2026-11-23T08:00:00.123Z",
        "version": 1,
    });
    let data = json!({
        "token": tokens.access, "tokenType": "Bearer", "expiresIn": 7200, "refreshToken": tokens.refresh,
        "refreshExpiresIn": 2_592_000, "user": user, "isNewUser": true,
    });
    assert_eq!(
        answer.body,
        json!({"code": 200, "message": "操作成功", "data": data})
    );
    assert_eq!(app.api.info(&tokens.access).await.ok(200), &user);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_keeps_the_user(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    let again = app.api.login(&app.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], false);
    assert_eq!(again.data()["user"]["id"], first.user_id());
    assert_ne!(Tokens::of(&again).session_id(), first.session_id());
    assert_eq!(
        app.identity_row(APP_ID, "alice").await["loginCount"]
            .as_n()
            .unwrap(),
        "2"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_without_app_id_uses_the_first_mini_program(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    assert_eq!(app.log_in("alice").await.claims()["aud"], APP_ID);
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(Tokens::of(&other).claims()["aud"], OTHER_APP_ID);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_first_logins_create_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "100")
        .start()
        .await;
    let codes: Vec<String> = (0..50).map(|_| app.code("alice")).collect();
    let answers = join_all(codes.iter().map(|code| app.api.login(code))).await;
    let users: BTreeSet<&str> = answers
        .iter()
        .map(|answer| answer.ok(200)["user"]["id"].as_str().unwrap())
        .collect();
    let new = answers
        .iter()
        .filter(|answer| answer.data()["isNewUser"] == true)
        .count();
    assert_eq!((users.len(), new), (1, 1));
    assert_eq!(
        (app.count("PROFILE").await, app.count("IDENTITY").await),
        (1, 1)
    );
    assert_eq!(app.count("SESSION#").await, 50);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_mini_program_is_rejected_before_calling_wechat(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for app_id in ["wx9999999999999999", "", "a#b", "WX0123456789ABCDEF"] {
        app.api
            .login_in(app_id, &app.code("alice"))
            .await
            .fails_at(&["appId"]);
    }
    assert_eq!(app.code2session_calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_union_id_in_two_mini_programs_maps_to_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_union_id(&app, "alice");
    let first = app.log_in("alice").await;
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(other.ok(200)["isNewUser"], false);
    assert_eq!(Tokens::of(&other).user_id(), first.user_id());
    let identities = app
        .table
        .item(&format!("USER#{}", first.user_id()), "PROFILE")
        .await
        .unwrap();
    assert_eq!(identities["identities"].as_ss().unwrap().len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_logins_with_one_union_id_create_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for round in 0..10 {
        let person = format!("person {round}");
        has_union_id(&app, &person);
        let (here, there) = (app.code(&person), app.code_in(OTHER_APP_ID, &person));
        let (here, there) =
            futures_util::join!(app.api.login(&here), app.api.login_in(OTHER_APP_ID, &there));
        assert_eq!(Tokens::of(&here).user_id(), Tokens::of(&there).user_id());
        let new = [&here, &there]
            .iter()
            .filter(|answer| answer.data()["isNewUser"] == true)
            .count();
        assert_eq!((new, app.count("PROFILE").await), (1, round + 1));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_union_id_that_appears_later_is_linked(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    has_union_id(&app, "alice");
    app.log_in("alice").await;
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(Tokens::of(&other).user_id(), first.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_union_id_each_mini_program_has_its_own_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let first = app.log_in("alice").await;
    let other = app
        .api
        .login_in(OTHER_APP_ID, &app.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(other.ok(200)["isNewUser"], true);
    assert_ne!(Tokens::of(&other).user_id(), first.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_gets_no_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let user_id = app.log_in("alice").await.user_id();
    app.disable(&user_id).await;
    let code = app.code("alice");
    app.api.login(&code).await.fails(403, "user_disabled");
    app.api.login(&code).await.fails(403, "user_disabled");
    let living = app.table.partition(&format!("USER#{user_id}")).await;
    let living = living
        .iter()
        .filter(|row| row["sk"].as_s().unwrap().starts_with("SESSION#"));
    assert_eq!(
        living.filter(|row| !row.contains_key("revokedAt")).count(),
        1,
        "the earlier session"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_identity_is_gone_is_a_new_user_and_leaves_the_old_one_alone(
    #[values(InProcess, Redis)] state: SharedState,
) {
    // So many sessions that a login of the old user would end one.
    let app = TestApp::builder(state)
        .set("MAX_SESSIONS", "2")
        .start()
        .await;
    let other = app.another_instance().await;
    let old = app.log_in("alice").await.user_id();
    // This instance, and shared state, know who comes next.
    app.log_in("alice").await;
    let identity = app.identity_row(APP_ID, "alice").await;
    let key = |name: &str| identity[name].as_s().unwrap().clone();
    app.remove_row(&key("pk"), &key("sk")).await;
    for api in [&app.api, &other] {
        let new = Tokens::of(&api.login(&app.code("alice")).await);
        assert_ne!(new.user_id(), old);
    }
    let rows = app.table.partition(&format!("USER#{old}")).await;
    let is_session = |row: &&Item| row["sk"].as_s().unwrap().starts_with("SESSION#");
    assert_eq!(
        rows.iter().filter(is_session).count(),
        2,
        "those from before"
    );
}

/// Their rows become visible while the second one is on its way: it must not have found before, and left
/// in the cache, that there is no such user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_overtakes_the_first_one_finds_its_user() {
    let app = TestApp::start(Redis).await;
    let (making, one) = Front::of(&app).await;
    let (looking, other) = Front::of(&app).await;
    let codes = [app.code("alice"), app.code("alice")];
    let made = making.hold("TransactWriteItems");
    let found = looking.hold("UpdateItem");
    let is_made = Notify::new();
    let first = async {
        let answer = one.login(&codes[0]).await;
        is_made.notify_one();
        answer
    };
    let second = async {
        made.arrived().await;
        let login = async { other.login(&codes[1]).await };
        let release = async {
            found.arrived().await;
            drop(made);
            is_made.notified().await;
            drop(found);
        };
        join!(login, release).0
    };
    let (first, second) = join!(first, second);
    let (first, second) = (Tokens::of(&first), Tokens::of(&second));
    assert_eq!(first.user_id(), second.user_id());
    for tokens in [&first, &second] {
        app.api.info(&tokens.access).await.ok(200);
    }
}

fn has_union_id(app: &TestApp, person: &str) {
    app.wechat
        .change_user(
            person,
            UserChange {
                union_id: Some(UnionId::Derived),
                ..UserChange::default()
            },
        )
        .unwrap();
}
