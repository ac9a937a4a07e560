//! How WeChat's `session_key` is stored.

use e2e::{
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;
use secrecy::ExposeSecret;
use shared::{config::DataKeySettings, crypto::AtRest};
use wechat_simulator::UserChange;

use super::code2session;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_key_is_stored_encrypted_for_its_row(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let session_key = kept_session_key(&app, "alice").await;
    app.log_in("alice").await;
    let row = app.identity_row(APP_ID, "alice").await;
    let sealed = row["sessionKey"].as_s().unwrap();
    assert!(sealed.starts_with("k1."), "{sealed}");
    let at_rest = AtRest::new(&DataKeySettings::read(&app.env()).keys);
    assert_eq!(
        at_rest
            .open(sealed, row["pk"].as_s().unwrap())
            .unwrap()
            .expose_secret(),
        session_key
    );
    assert!(!format!("{:?}", app.rows().await).contains(&session_key));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_session_key_is_kept(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.log_in("alice").await;
    let first = app.identity_row(APP_ID, "alice").await;
    assert!(!first.contains_key("prevSessionKey"));
    app.log_in("alice").await;
    let second = app.identity_row(APP_ID, "alice").await;
    assert_eq!(second["prevSessionKey"], first["sessionKey"]);
    assert_ne!(second["sessionKey"], first["sessionKey"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_session_key_keeps_the_previous_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    app.log_in("alice").await;
    app.log_in("alice").await;
    let before = app.identity_row(APP_ID, "alice").await;
    app.wechat
        .change_user(
            "alice",
            UserChange {
                keep_session_key: Some(true),
                ..UserChange::default()
            },
        )
        .unwrap();
    app.log_in("alice").await;
    let after = app.identity_row(APP_ID, "alice").await;
    assert_eq!(after["prevSessionKey"], before["prevSessionKey"]);
    assert_eq!(after["sessionKeyTag"], before["sessionKeyTag"]);
    assert_eq!(after["loginCount"].as_n().unwrap(), "3");
}

/// Makes WeChat keep this person's `session_key` and finds out what it is.
async fn kept_session_key(app: &TestApp, person: &str) -> String {
    app.wechat
        .change_user(
            person,
            UserChange {
                keep_session_key: Some(true),
                ..UserChange::default()
            },
        )
        .unwrap();
    let answer = code2session(app, &app.code(person)).await;
    answer["session_key"].as_str().unwrap().to_owned()
}
