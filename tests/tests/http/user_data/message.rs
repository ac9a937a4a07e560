//! Messages that the mini-program encrypts with a key of `wx.getUserCryptoManager()`.

use e2e::{
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::users::encrypt_keys_key;
use wechat_simulator::SessionKeyAction;

use super::{set_errcode, with};

const ENCRYPT_KEY: &str = "/wxa/business/getuserencryptkey";

fn message(app: &TestApp, person: &str, text: &str) -> Value {
    json!(
        app.wechat
            .encrypted_message(person, text, Some(APP_ID))
            .unwrap()
    )
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_opens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let order = json!({"order": 7, "note": "小明"});
    let answer = app
        .api
        .message(&tokens.access, &message(&app, "alice", &order.to_string()))
        .await;
    assert_eq!(*answer.ok(200), order);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_cached_until_a_newer_version_is_needed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for _ in 0..3 {
        app.api
            .message(&tokens.access, &message(&app, "alice", "{}"))
            .await
            .ok(200);
    }
    assert_eq!(app.wechat.calls(ENCRYPT_KEY), 1);
    app.clock.advance_seconds(3600);
    let tokens = app.log_in("alice").await;
    let newer = message(&app, "alice", "{}");
    assert_eq!(newer["version"], 2);
    app.api.message(&tokens.access, &newer).await.ok(200);
    app.api.message(&tokens.access, &newer).await.ok(200);
    assert_eq!(app.wechat.calls(ENCRYPT_KEY), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_key_still_opens(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let old = message(&app, "alice", "{}");
    app.clock.advance_seconds(3600);
    message(&app, "alice", "{}");
    let again = app.log_in("alice").await;
    assert_ne!(again.access, tokens.access);
    app.api.message(&again.access, &old).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_invalid_messages_get_the_same_answer(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.log_in("bob").await;
    let good = message(&app, "alice", "{}");
    let wrong = [
        with(&good, "version", 2),
        with(&good, "encryptedData", ""),
        with(&good, "encryptedData", "AAAAAAAAAAAAAAAAAAAAAA=="),
        with(&good, "encryptedData", "not base64"),
        with(&good, "iv", "AAAA"),
        with(&good, "iv", "AAAAAAAAAAAAAAAAAAAAAA=="),
        message(&app, "alice", "no JSON"),
        message(&app, "bob", "{}"),
    ];
    for body in wrong {
        app.api
            .message(&tokens.access, &body)
            .await
            .fails(400, "decrypt_failed");
    }
    app.api
        .message(&tokens.access, &with(&good, "version", "1"))
        .await
        .fails_at(&["version"]);
    app.api
        .message(&tokens.access, &with(&good, "key", "x"))
        .await
        .fails_at(&["key"]);
    app.api.message(&tokens.access, &good).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_session_key_is_reported(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let good = message(&app, "alice", "{}");
    app.wechat
        .session_key("alice", SessionKeyAction::Rotate, Some(APP_ID))
        .unwrap();
    app.api
        .message(&tokens.access, &good)
        .await
        .fails(409, "session_key_stale");
    let again = app.log_in("alice").await;
    set_errcode(&app, ENCRYPT_KEY, 87007);
    app.api
        .message(&again.access, &good)
        .await
        .fails(409, "session_key_stale");
    app.wechat.clear_faults();
    app.api.message(&again.access, &good).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_cached_encrypted(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let good = message(&app, "alice", "{}");
    app.api.message(&tokens.access, &good).await.ok(200);
    let Some(url) = app.env().get("REDIS_URL").map(str::to_owned) else {
        return;
    };
    let mut redis = redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let (user, app_id) = (tokens.user_id().parse().unwrap(), APP_ID.parse().unwrap());
    let key = encrypt_keys_key(user, &app_id);
    let (held, life): (String, i64) = redis::pipe()
        .get(&key)
        .ttl(&key)
        .query_async(&mut redis)
        .await
        .unwrap();
    assert!(held.starts_with("k1."), "{held}");
    assert!((1..=3600).contains(&life), "{life}");
}
