//! An account with two identities in one mini-program, as a merge leaves it: each session is of the one
//! that logged in.

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    settings::APP_ID,
    test_app::{SharedState::Redis, TestApp, Tokens},
};
use serde_json::{Value, json};
use shared::{clock::Clock, instance::Instance, random::Random, saga::Progress};
use wechat_simulator::{DataKind, UserChange};

use super::data;

const ENCRYPT_KEY: &str = "/wxa/business/getuserencryptkey";

/// Alice's account is merged into bob's; then she logs in. Her session, and one of his from before.
async fn merged(app: &TestApp) -> (Tokens, Tokens) {
    let (alice, bob) = (app.log_in("alice").await, app.log_in("bob").await);
    let instance = Instance::new(app.env(), Clock::Manual(app.clock.clone()), Random::System);
    let id = |tokens: &Tokens| tokens.user_id().parse().unwrap();
    let merge = instance.account_merge();
    let progress = merge.begin(id(&alice), id(&bob), None).await.unwrap();
    assert_eq!(progress, Progress::Done);
    let alice = app.log_in("alice").await;
    assert_eq!(alice.user_id(), bob.user_id());
    (alice, bob)
}

fn message(app: &TestApp, person: &str, text: &str) -> Value {
    let message = app.wechat.encrypted_message(person, text, Some(APP_ID));
    json!(message.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_opens_with_the_keys_of_the_identity_that_logged_in() {
    let app = TestApp::start(Redis).await;
    let (alice, bob) = merged(&app).await;
    for (person, own, other) in [("alice", &alice, &bob), ("bob", &bob, &alice)] {
        let open_id = app.wechat.open_id(person, Some(APP_ID)).unwrap();
        let body = data(&app, person, DataKind::UserInfo);
        let opened = app.api.decrypt(&own.access, &body).await;
        assert_eq!(opened.ok(200)["openId"], open_id);
        let refused = app.api.decrypt(&other.access, &body).await;
        refused.fails(409, "session_key_stale");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_open_with_the_keys_of_the_identity_that_logged_in() {
    let app = TestApp::start(Redis).await;
    let (alice, bob) = merged(&app).await;
    for round in 0..3 {
        for (person, own, other) in [("alice", &alice, &bob), ("bob", &bob, &alice)] {
            let text = format!(r#"{{"of":"{person}"}}"#);
            let body = message(&app, person, &text);
            let opened = app.api.message(&own.access, &body).await;
            assert_eq!(opened.ok(200)["of"], person, "{round}");
            let refused = app.api.message(&other.access, &body).await;
            refused.fails(400, "decrypt_failed");
        }
    }
    // Once for each identity, also with further sessions.
    let again = app.log_in("alice").await;
    let body = message(&app, "alice", "{}");
    app.api.message(&again.access, &body).await.ok(200);
    assert_eq!(app.wechat.calls(ENCRYPT_KEY), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_is_asked_for_and_a_key_reset_for_the_identity_that_logged_in() {
    let app = TestApp::start(Redis).await;
    let (alice, bob) = merged(&app).await;
    for (person, number, tokens) in [
        ("alice", "13900000001", &alice),
        ("bob", "13900000002", &bob),
    ] {
        let change = UserChange {
            phone: Some(number.into()),
            ..UserChange::default()
        };
        app.wechat.change_user(person, change).unwrap();
        // WeChat refuses codes of other people.
        let code = app.wechat.phone_code(person, Some(APP_ID)).unwrap();
        let bound = app.api.bind_phone(&tokens.access, &code).await;
        assert_eq!(bound.ok(200)["phone"], number);
        app.api.reset_session_key(&tokens.access).await.ok(200);
        let body = data(&app, person, DataKind::UserInfo);
        app.api.decrypt(&tokens.access, &body).await.ok(200);
    }
}

/// As versions before this one left it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_names_none_of_several_identities_has_to_log_in_again() {
    let app = TestApp::start(Redis).await;
    let (alice, bob) = merged(&app).await;
    let row = app.session_row(&bob).await;
    assert_eq!(
        row["openId"].as_s().unwrap(),
        &app.wechat.open_id("bob", Some(APP_ID)).unwrap()
    );
    let update = app.table.client().update_item().table_name(TABLE);
    let text = |text: String| AttributeValue::S(text);
    update
        .key("pk", text(format!("USER#{}", bob.user_id())))
        .key("sk", text(format!("SESSION#{}", bob.session_id())))
        .update_expression("REMOVE openId")
        .send()
        .await
        .unwrap();
    let body = data(&app, "bob", DataKind::UserInfo);
    let refused = app.api.decrypt(&bob.access, &body).await;
    refused.fails(401, "session_revoked");
    let again = app.log_in("bob").await;
    app.api.decrypt(&again.access, &body).await.ok(200);
    app.api.info(&alice.access).await.ok(200);
}
