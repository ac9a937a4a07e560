//! How much of the mini-program's WeChat quota one account can use.

use e2e::{
    http::Answer,
    settings::APP_ID,
    test_app::{
        Api,
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use serde_json::json;
use wechat_simulator::DataKind;

use super::{data, with};

const CHECK: &str = "/wxa/checksession";
const ENCRYPT_KEY: &str = "/wxa/business/getuserencryptkey";
const PHONE_NUMBER: &str = "/wxa/business/getuserphonenumber";
const RESET: &str = "/wxa/resetusersessionkey";

/// An app that lets each account call WeChat twice.
async fn limited(state: SharedState) -> (TestApp, Tokens) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_WECHAT", "2/h burst 2")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    (app, tokens)
}

/// Asserts a 429 with all headers that a client needs.
#[track_caller]
fn assert_refused(answer: &Answer) {
    answer.fails(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{answer:?}");
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""wechat";q=2;w=3600"#)
    );
    let standing = answer.header("ratelimit").unwrap();
    assert!(standing.starts_with(r#""wechat";r=0;"#), "{standing}");
}

async fn unknown_version(api: &Api, tokens: &Tokens, version: u32) -> Answer {
    let body = json!({"encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "version": version});
    api.message(&tokens.access, &body).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_calls_on_behalf_of_an_account_share_one_limit(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let (app, tokens) = limited(state).await;
    let other = app.another_instance().await;
    let other = if state == SharedState::Redis {
        &other
    } else {
        &app.api
    };
    let checked = with(
        &data(&app, "alice", DataKind::UserInfo),
        "checkSession",
        true,
    );
    app.api.decrypt(&tokens.access, &checked).await.ok(200);
    other.reset_session_key(&tokens.access).await.ok(200);
    for api in [&app.api, other] {
        assert_refused(&api.reset_session_key(&tokens.access).await);
        assert_refused(&api.decrypt(&tokens.access, &checked).await);
        assert_refused(&api.bind_phone(&tokens.access, "garbage").await);
        assert_refused(&unknown_version(api, &tokens, 7).await);
    }
    let calls = [CHECK, RESET, PHONE_NUMBER, ENCRYPT_KEY].map(|path| app.wechat.calls(path));
    assert_eq!(calls, [1, 1, 0, 0]);
    // What needs no call still works, and so does everybody else.
    let data = data(&app, "alice", DataKind::UserInfo);
    app.api.decrypt(&tokens.access, &data).await.ok(200);
    let bob = app.log_in("bob").await;
    app.api.reset_session_key(&bob.access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_does_not_renew_the_limit(#[values(InProcess, Redis)] state: SharedState) {
    let (app, tokens) = limited(state).await;
    for _ in 0..2 {
        app.api.reset_session_key(&tokens.access).await.ok(200);
    }
    let again = app.log_in("alice").await;
    assert_refused(&app.api.reset_session_key(&again.access).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_wechat_did_not_have_is_not_asked_for_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for _ in 0..5 {
        unknown_version(&app.api, &tokens, 7)
            .await
            .fails(400, "decrypt_failed");
    }
    assert_eq!(app.wechat.calls(ENCRYPT_KEY), 1);
    // A key that exists is found nevertheless.
    let message = json!(
        app.wechat
            .encrypted_message("alice", "{}", Some(APP_ID))
            .unwrap()
    );
    app.api.message(&tokens.access, &message).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_code_that_wechat_refused_is_not_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for _ in 0..5 {
        app.api
            .bind_phone(&tokens.access, "garbage")
            .await
            .fails(400, "phone_code_invalid");
    }
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
    let code = app.wechat.phone_code("alice", Some(APP_ID)).unwrap();
    app.api.bind_phone(&tokens.access, &code).await.ok(200);
}
