//! What is kept of WeChat's `session_key`.

use e2e::{
    settings::APP_ID,
    world::{
        SharedState::{self, InProcess, Redis},
        World,
    },
};
use rstest::rstest;
use secrecy::ExposeSecret;
use shared::{config::WeChatSettings, crypto::AtRest};
use wechat_simulator::UserChange;

use super::code2session;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_key_is_stored_encrypted_for_its_row(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    let session_key = kept_session_key(&world, "alice").await;
    world.log_in("alice").await;
    let row = world.identity_row(APP_ID, "alice").await;
    let sealed = row["sessionKey"].as_s().unwrap();
    assert!(sealed.starts_with("k1."), "{sealed}");
    let at_rest = AtRest::new(&WeChatSettings::read(&world.env()).data_keys);
    assert_eq!(
        at_rest
            .open(sealed, row["pk"].as_s().unwrap())
            .unwrap()
            .expose_secret(),
        session_key
    );
    assert!(!format!("{:?}", world.rows().await).contains(&session_key));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_session_key_is_kept(#[values(InProcess, Redis)] state: SharedState) {
    let world = World::start(state).await;
    world.log_in("alice").await;
    let first = world.identity_row(APP_ID, "alice").await;
    assert!(!first.contains_key("prevSessionKey"));
    world.log_in("alice").await;
    let second = world.identity_row(APP_ID, "alice").await;
    assert_eq!(second["prevSessionKey"], first["sessionKey"]);
    assert_ne!(second["sessionKey"], first["sessionKey"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_key_that_wechat_repeats_does_not_push_out_the_previous_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = World::start(state).await;
    world.log_in("alice").await;
    world.log_in("alice").await;
    let before = world.identity_row(APP_ID, "alice").await;
    world
        .wechat
        .change_user(
            "alice",
            UserChange {
                keep_session_key: Some(true),
                ..UserChange::default()
            },
        )
        .unwrap();
    world.log_in("alice").await;
    let after = world.identity_row(APP_ID, "alice").await;
    assert_eq!(after["prevSessionKey"], before["prevSessionKey"]);
    assert_eq!(after["sessionKeyTag"], before["sessionKeyTag"]);
    assert_eq!(after["loginCount"].as_n().unwrap(), "3");
}

/// Makes WeChat keep this person's `session_key` and finds out what it is.
async fn kept_session_key(world: &World, person: &str) -> String {
    world
        .wechat
        .change_user(
            person,
            UserChange {
                keep_session_key: Some(true),
                ..UserChange::default()
            },
        )
        .unwrap();
    let answer = code2session(world, &world.code(person)).await;
    answer["session_key"].as_str().unwrap().to_owned()
}
