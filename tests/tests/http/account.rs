//! `/api/v1/user`, `/api/v1/user/consents` and `/api/v1/user/export`, with state in the process and with a real Redis.

mod agreeing;
mod consents;
mod deletion;
mod due;
mod export;
mod faults;
mod merging;
mod races;
mod throttled;
mod user_rows;

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::messages::{ClaimOutcome, Creation, MessageRequest};
use wechat_simulator::{UnionId, UserChange};

/// What users have to agree to in these tests.
const CONSENTS: &str = "privacy:3,terms:2";

/// Who changed a role in these tests.
const ADMINISTRATOR: &str = "0193c0de-0000-7000-8000-00000000ad31";

/// An app with [`CONSENTS`] and avatars.
async fn start(state: SharedState) -> TestApp {
    TestApp::builder(state)
        .set("CONSENTS", CONSENTS)
        .avatars()
        .start()
        .await
}

/// `consentsMissing`, as it is when these versions are.
fn missing(documents: &[(&str, u32)]) -> Value {
    let one = |(document, version): &(&str, u32)| json!({"document": document, "version": version});
    documents.iter().map(one).collect()
}

/// Somebody with everything that can be stored about a user: identities in two mini-programs, a union
/// id, a phone number, a session in each, consents of which one is withdrawn, a ticket for a number, a role
/// that an administrator gave with its entry in the audit trail, an avatar that was checked and whose publication has stopped half-way.
async fn with_everything(app: &TestApp, person: &str) -> Tokens {
    let change = UserChange {
        union_id: Some(UnionId::Derived),
        ..UserChange::default()
    };
    app.wechat.change_user(person, change).unwrap();
    let tokens = app.log_in(person).await;
    let code = app.code_in(OTHER_APP_ID, person);
    let other = Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    assert_eq!(other.user_id(), tokens.user_id());
    // Moves the first session key to the previous one.
    let tokens = Tokens::of(&app.api.login_in(APP_ID, &app.code(person)).await);
    let phone = app.wechat.phone_code(person, Some(APP_ID)).unwrap();
    app.api.bind_phone(&tokens.access, &phone).await.ok(200);
    let body = json!({"nickname": format!("昵称 {person}"), "gender": 2});
    app.api.change(&tokens.access, &body).await.ok(200);
    app.api.agree(&tokens.access, "privacy", 3).await.ok(200);
    app.api.agree(&other.access, "terms", 2).await.ok(200);
    app.api.withdraw(&tokens.access, "terms").await.ok(200);
    app.api.logout(&other.access).await.ok(200);
    add_ticket(app, &tokens).await;
    add_activity(app, &tokens).await;
    stopped_upload(app, &tokens).await;
    add_messages(app, &tokens).await;
    tokens
}

/// A message that is being sent, with everything that its row and its grant can have.
async fn add_messages(app: &TestApp, tokens: &Tokens) {
    let request = app.api.request("PUT", "/api/v1/user/subscriptions");
    let body = json!({"requestId": "call-0001", "results": {"T1": "accept"}});
    let recorded = request.bearer(&tokens.access).json(&body).send().await;
    recorded.ok(200);
    let content = json!({
        "type": "subscribe", "templateId": "T1", "data": {"thing1": "x"}, "miniprogramState": "formal",
        "lang": "zh_CN",
    });
    let order = MessageRequest {
        key: "order-0001".parse().unwrap(),
        user: tokens.user_id().parse().unwrap(),
        app_id: APP_ID.parse().unwrap(),
        content: serde_json::from_value(content).unwrap(),
    };
    let messages = app.instance_with(&[]).messages();
    let Creation::Created(message) = messages.create(&order).await.unwrap() else {
        panic!("not created")
    };
    let claim = messages.claim(&message).await.unwrap();
    assert!(matches!(claim, ClaimOutcome::Claimed(_)), "{claim:?}");
}

/// A ticket for a number, past the backend: there is no other user whose number it is.
async fn add_ticket(app: &TestApp, tokens: &Tokens) {
    let text = |text: String| AttributeValue::S(text);
    let put = app.table.client().put_item().table_name(TABLE);
    let put = put
        .item("pk", text(format!("USER#{}", tokens.user_id())))
        .item("sk", text(format!("PHONE_TICKET#{}", tokens.session_id())))
        .item("digest", text("0".repeat(64)))
        .item("claim", text(format!("PHONE#{}", "0".repeat(32))))
        .item("owner", text("1".repeat(64)))
        .item("choice", text("merge".to_owned()))
        .item("ttl", AttributeValue::N("1795451070".to_owned()));
    put.send().await.unwrap();
}

/// What the worker and an administrator's change leave, past the backend.
async fn add_activity(app: &TestApp, tokens: &Tokens) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let pk = format!("USER#{}", tokens.user_id());
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&pk))
        .key("sk", text("PROFILE"))
        .update_expression("SET changedBy = :by")
        .expression_attribute_values(":by", text(ADMINISTRATOR));
    update.send().await.unwrap();
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&pk))
        .key("sk", text(&format!("SESSION#{}", tokens.session_id())))
        .update_expression("SET endedById = :by")
        .expression_attribute_values(":by", text(ADMINISTRATOR));
    update.send().await.unwrap();
    let put = app.table.client().put_item().table_name(TABLE);
    let put = put
        .item("pk", text(&pk))
        .item(
            "sk",
            text("AUDIT#2026-11-23T07:59:00.000Z#0011223344556677"),
        )
        .item("event", text("role_changed"))
        .item("at", text("2026-11-23T07:59:00Z"))
        .item("by", text(ADMINISTRATOR))
        .item("from", text("admin"))
        .item("to", text("user"))
        .item("ttl", AttributeValue::N("4102444800".to_owned()));
    put.send().await.unwrap();
}

/// An upload with everything that its rows can have.
async fn stopped_upload(app: &TestApp, tokens: &Tokens) {
    let begun = app.api.begin_avatar(&tokens.access, "image/png", 10).await;
    let key = begun.ok(200)["key"].as_str().unwrap().to_owned();
    let id = key.strip_prefix("uploads/").unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let trace = format!("MEDIACHECK#{APP_ID}#trace-{id}");
    let update = app.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", text(&format!("USER#{}", tokens.user_id())))
        .key("sk", text(&format!("UPLOAD#{id}")))
        .update_expression(
            "SET phase = :phase, etag = :etag, staged = :staged, trace = :trace, askedAt = :asked, busyUntil = :until",
        );
    let values = [
        (":phase", "publishing"),
        (":etag", "\"an etag\""),
        (":staged", "checks/of-the-upload"),
        (":trace", &*trace),
        (":asked", "2026-11-23T07:30:00Z"),
        (":until", "2026-11-23T07:30:15.987Z"),
    ];
    let update = values.into_iter().fold(update, |update, (name, value)| {
        update.expression_attribute_values(name, text(value))
    });
    update.send().await.unwrap();
    let put = app.table.client().put_item().table_name(TABLE);
    let put = put
        .item("pk", text(&trace))
        .item("sk", text("CHECK"))
        .item("uid", text(&tokens.user_id()))
        .item("upload", text(id))
        .item("ttl", AttributeValue::N("4102444800".to_owned()));
    put.send().await.unwrap();
}

/// Sends a request to each endpoint with this token.
async fn all_answer(app: &TestApp, token: Option<&str>, status: u16, reason: &str) {
    for (method, path) in [
        ("GET", "/api/v1/user/consents"),
        ("PUT", "/api/v1/user/consents/privacy"),
        ("DELETE", "/api/v1/user/consents/privacy"),
        ("GET", "/api/v1/user/activity"),
        ("GET", "/api/v1/user/export"),
        ("GET", "/api/v1/user/export?cursor=x"),
        ("DELETE", "/api/v1/user"),
    ] {
        let request = app.api.request(method, path).json(&json!({"version": 3}));
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let answer = request.send().await;
        let found = (answer.status, answer.reason());
        assert_eq!(found, (status, Some(reason)), "{method} {path}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_a_living_session_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let rows = app.rows().await;
    all_answer(&app, None, 401, "token_missing").await;
    all_answer(&app, Some("x"), 401, "token_invalid").await;
    assert!(app.rows().await == rows, "rows were written");
    app.api.logout(&tokens.access).await.ok(200);
    let rows = app.rows().await;
    all_answer(&app, Some(&tokens.access), 401, "session_revoked").await;
    assert!(app.rows().await == rows, "rows were written");
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(7200 + 31);
    all_answer(&app, Some(&tokens.access), 401, "token_expired").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    app.disable(&tokens.user_id()).await;
    let rows = app.rows().await;
    all_answer(&app, Some(&tokens.access), 403, "user_disabled").await;
    assert!(app.rows().await == rows, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_gone_has_no_session(#[values(InProcess, Redis)] state: SharedState) {
    let app = start(state).await;
    let tokens = app.log_in("alice").await;
    let pk = format!("USER#{}", tokens.user_id());
    app.api.info(&tokens.access).await.ok(200);
    app.remove_row(&pk, "PROFILE").await;
    // The cache still has the profile; nothing is written for it, and nothing is exported.
    all_answer(&app, Some(&tokens.access), 401, "session_revoked").await;
    assert_eq!(app.table.partition(&pk).await.len(), 1);
}
