//! Whose login it is.

use std::collections::BTreeSet;

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    world::{
        SharedState::{self, InProcess, Redis},
        Tokens, World,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;
use wechat_simulator::{UnionId, UserChange};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_login_makes_a_user(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let answer = world.api.login(&world.code("alice")).await;
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
    assert_eq!(world.api.info(&tokens.access).await.ok(200), &user);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_login_is_the_same_user_and_not_new(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let first = world.log_in("alice").await;
    let again = world.api.login(&world.code("alice")).await;
    assert_eq!(again.ok(200)["isNewUser"], false);
    assert_eq!(again.data()["user"]["id"], first.user_id());
    assert_ne!(Tokens::of(&again).session_id(), first.session_id());
    assert_eq!(
        world.identity_row(APP_ID, "alice").await["loginCount"]
            .as_n()
            .unwrap(),
        "2"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_names_its_mini_program_or_means_the_first(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    assert_eq!(world.log_in("alice").await.claims()["aud"], APP_ID);
    let other = world
        .api
        .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(Tokens::of(&other).claims()["aud"], OTHER_APP_ID);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_concurrent_first_logins_of_one_person_make_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let codes: Vec<String> = (0..50).map(|_| world.code("alice")).collect();
    let answers = join_all(codes.iter().map(|code| world.api.login(code))).await;
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
        (world.count("PROFILE").await, world.count("IDENTITY").await),
        (1, 1)
    );
    assert_eq!(world.count("SESSION#").await, 50);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_mini_program_is_refused_before_wechat_is_asked(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    for app_id in ["wx9999999999999999", "", "a#b", "WX0123456789ABCDEF"] {
        world
            .api
            .login_in(app_id, &world.code("alice"))
            .await
            .fails_at(&["appId"]);
    }
    assert_eq!(world.code_calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_union_id_in_two_mini_programs_is_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    has_union_id(&world, "alice");
    let first = world.log_in("alice").await;
    let other = world
        .api
        .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(other.ok(200)["isNewUser"], false);
    assert_eq!(Tokens::of(&other).user_id(), first.user_id());
    let identities = world
        .table
        .item(&format!("USER#{}", first.user_id()), "PROFILE")
        .await
        .unwrap();
    assert_eq!(identities["identities"].as_ss().unwrap().len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_first_logins_at_once_with_one_union_id_make_one_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    for round in 0..10 {
        let person = format!("person {round}");
        has_union_id(&world, &person);
        let (here, there) = (world.code(&person), world.code_in(OTHER_APP_ID, &person));
        let (here, there) = futures_util::join!(
            world.api.login(&here),
            world.api.login_in(OTHER_APP_ID, &there)
        );
        assert_eq!(Tokens::of(&here).user_id(), Tokens::of(&there).user_id());
        let new = [&here, &there]
            .iter()
            .filter(|answer| answer.data()["isNewUser"] == true)
            .count();
        assert_eq!((new, world.count("PROFILE").await), (1, round + 1));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_union_id_that_appears_later_is_linked(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let first = world.log_in("alice").await;
    has_union_id(&world, "alice");
    world.log_in("alice").await;
    let other = world
        .api
        .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(Tokens::of(&other).user_id(), first.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_union_id_each_mini_program_has_its_own_user(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let first = world.log_in("alice").await;
    let other = world
        .api
        .login_in(OTHER_APP_ID, &world.code_in(OTHER_APP_ID, "alice"))
        .await;
    assert_eq!(other.ok(200)["isNewUser"], true);
    assert_ne!(Tokens::of(&other).user_id(), first.user_id());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_gets_no_session(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    let user_id = world.log_in("alice").await.user_id();
    world.disable(&user_id).await;
    let code = world.code("alice");
    world.api.login(&code).await.fails(403, "user_disabled");
    world.api.login(&code).await.fails(403, "user_disabled");
    let living = world.table.partition(&format!("USER#{user_id}")).await;
    let living = living
        .iter()
        .filter(|row| row["sk"].as_s().unwrap().starts_with("SESSION#"));
    assert_eq!(
        living.filter(|row| !row.contains_key("revokedAt")).count(),
        1,
        "the one from before"
    );
}

fn has_union_id(world: &World, person: &str) {
    world
        .wechat
        .change_user(
            person,
            UserChange {
                union_id: Some(UnionId::Derived),
                ..UserChange::default()
            },
        )
        .unwrap();
}
