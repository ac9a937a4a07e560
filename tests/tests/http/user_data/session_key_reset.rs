//! `POST /api/v1/user/session-key/reset`.

use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, Settings},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;
use wechat_simulator::{DataKind, Fault, SessionKeyAction, UserChange};

use super::{data, session_key, set_errcode};
use crate::dynamodb_faults::Front;

const NEW_KEY: &str = "k2:00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const RESET: &str = "/wxa/resetusersessionkey";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_opens_with_the_reset_key(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let (before, on_its_way) = (
        session_key(&app, "alice").await,
        data(&app, "alice", DataKind::UserInfo),
    );
    app.api.reset_session_key(&tokens.access).await.ok(200);
    assert_ne!(session_key(&app, "alice").await, before);
    for body in [data(&app, "alice", DataKind::UserInfo), on_its_way] {
        app.api.decrypt(&tokens.access, &body).await.ok(200);
    }
    // Once more: the new key is accepted.
    app.api.reset_session_key(&tokens.access).await.ok(200);
    assert_eq!(app.wechat.calls(RESET), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_wechat_replaced_cannot_be_reset(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    app.api
        .reset_session_key(&tokens.access)
        .await
        .fails(409, "session_key_stale");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_reset_changes_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = app.identity_row(APP_ID, "alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (45011, 429, "rate_limited"),
        (87007, 409, "session_key_stale"),
    ] {
        set_errcode(&app, RESET, errcode);
        app.api
            .reset_session_key(&tokens.access)
            .await
            .fails(status, reason);
    }
    assert_eq!(app.identity_row(APP_ID, "alice").await, before);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_contains_the_session_key(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = session_key(&app, "alice").await;
    let answer = app.api.reset_session_key(&tokens.access).await;
    assert_eq!(*answer.ok(200), serde_json::json!({}));
    let after = session_key(&app, "alice").await;
    let text = format!("{:?} {}", answer.headers, answer.body);
    assert!(!text.contains(&before) && !text.contains(&after));
}

/// `DATA_KEYS` after the last step of a rotation.
fn rotated() -> String {
    format!("{NEW_KEY},k1:{}", Settings::secrets()[3].1)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_key_is_stored_after_data_keys_were_rotated(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let on_its_way = data(&app, "alice", DataKind::UserInfo);
    let api = app
        .another_instance_with(&[("DATA_KEYS", &rotated())])
        .await;
    api.reset_session_key(&tokens.access).await.ok(200);
    for body in [data(&app, "alice", DataKind::UserInfo), on_its_way] {
        api.decrypt(&tokens.access, &body).await.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_session_key_keeps_the_previous_one_after_data_keys_were_rotated(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    app.log_in("alice").await;
    app.log_in("alice").await;
    let before = app.identity_row(APP_ID, "alice").await;
    keep_session_key(&app);
    let api = app
        .another_instance_with(&[("DATA_KEYS", &rotated())])
        .await;
    api.login(&app.code("alice")).await.ok(200);
    let after = app.identity_row(APP_ID, "alice").await;
    assert_eq!(after["prevSessionKey"], before["prevSessionKey"]);
    // It is encrypted under the new key now.
    assert!(after["sessionKey"].as_s().unwrap().starts_with("k2."));
    assert_ne!(after["sessionKeyTag"], before["sessionKeyTag"]);
}

fn keep_session_key(app: &TestApp) {
    let change = UserChange {
        keep_session_key: Some(true),
        ..UserChange::default()
    };
    app.wechat.change_user("alice", change).unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_with_the_same_key_during_a_reset_does_not_lose_the_new_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let (front, api) = Front::of(&app).await;
    let hold = front.hold("UpdateItem");
    let login = async {
        // WeChat has replaced the key, and it is not stored yet: the row changes under it, as it
        // does when a login that began earlier finds the key that is stored.
        hold.arrived().await;
        encrypt_anew(&app).await;
        drop(hold);
    };
    let (reset, ()) = futures_util::join!(api.reset_session_key(&tokens.access), login);
    reset.ok(200);
    let body = data(&app, "alice", DataKind::UserInfo);
    app.api.decrypt(&tokens.access, &body).await.ok(200);
}

/// The stored key in another encryption.
async fn encrypt_anew(app: &TestApp) {
    use shared::{config::DataKeySettings, crypto::AtRest, random::Random};
    let row = app.identity_row(APP_ID, "alice").await;
    let at_rest = AtRest::new(&DataKeySettings::read(&app.env()).keys);
    let key = session_key(app, "alice").await;
    let sealed = at_rest.seal(&key.into(), row["pk"].as_s().unwrap(), &Random::System);
    let sealed = aws_sdk_dynamodb::types::AttributeValue::S(sealed.unwrap());
    let put = app.table.client().put_item().table_name(TABLE);
    let put = put.set_item(Some(row)).item("sessionKey", sealed);
    put.send().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_key_of_a_login_during_a_reset_stays(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let (front, api) = Front::of(&app).await;
    let hold = front.hold("UpdateItem");
    let login = async {
        hold.arrived().await;
        app.log_in("alice").await;
        drop(hold);
    };
    let (reset, ()) = futures_util::join!(api.reset_session_key(&tokens.access), login);
    reset.ok(200);
    let body = data(&app, "alice", DataKind::UserInfo);
    app.api.decrypt(&tokens.access, &body).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_is_completed_when_the_client_disconnects(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let before = session_key(&app, "alice").await;
    app.wechat
        .set_faults([Fault {
            path: Some(RESET.into()),
            latency_ms: Some(300),
            ..Fault::default()
        }])
        .unwrap();
    let called = async {
        while app.wechat.calls(RESET) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        answer = app.api.reset_session_key(&tokens.access) => panic!("{answer:?}"),
        () = e2e::within_patience("the call to WeChat", called) => {}
    }
    let stored = async {
        while session_key(&app, "alice").await == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    e2e::within_patience("the stored key", stored).await;
    let body = data(&app, "alice", DataKind::UserInfo);
    app.api.decrypt(&tokens.access, &body).await.ok(200);
}
