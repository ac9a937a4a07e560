//! A login that brings a code of the phone number button along.

use std::time::{Duration, Instant};

use e2e::{
    http::Answer,
    settings::APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{self, UserChange};

use crate::dynamodb_faults::{Fault, Front};

const PHONE_NUMBER: &str = "/wxa/business/getuserphonenumber";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const NUMBER: &str = "13900139000";
const A_DAY: i64 = 24 * 60 * 60;

fn has_number(app: &TestApp, person: &str) {
    let change = UserChange {
        phone: Some(NUMBER.to_owned()),
        ..UserChange::default()
    };
    app.wechat.change_user(person, change).unwrap();
}

fn phone_code(app: &TestApp, person: &str) -> String {
    app.wechat.phone_code(person, Some(APP_ID)).unwrap()
}

async fn log_in_with(app: &TestApp, person: &str, phone_code: &str) -> Answer {
    let code = app.code(person);
    app.api.login_with_phone(&code, phone_code).await
}

/// From now on WeChat answers calls of this path so.
fn set_fault(app: &TestApp, path: &str, fault: &wechat_simulator::Fault) {
    let fault = wechat_simulator::Fault {
        path: Some(path.to_owned()),
        ..fault.clone()
    };
    app.wechat.set_faults([fault]).unwrap();
}

fn errcode(errcode: i64) -> wechat_simulator::Fault {
    wechat_simulator::Fault {
        errcode: Some(errcode.try_into().unwrap()),
        ..wechat_simulator::Fault::default()
    }
}

/// Asserts that the login succeeded without a number, for this reason.
#[track_caller]
fn assert_failed(answer: &Answer, reason: &str) {
    let wanted = json!({"status": "failed", "reason": reason});
    assert_eq!(answer.ok(200)["phone"], wanted);
    assert_eq!(answer.data()["user"]["phone"], Value::Null);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_binds_the_number(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    has_number(&app, "alice");
    for is_new in [true, false] {
        let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
        let login = answer.ok(200);
        assert_eq!(login["phone"], json!({"status": "bound"}));
        assert_eq!(login["isNewUser"], is_new);
        assert_eq!(login["user"]["phone"], NUMBER);
        let tokens = Tokens::of(&answer);
        let info = app.api.info(&tokens.access).await;
        assert_eq!(info.ok(200), &login["user"]);
    }
    // Without a code nothing is said of a number.
    let answer = app.api.login(&app.code("alice")).await;
    assert_eq!(answer.ok(200).get("phone"), None);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_login_gets_the_same_answer(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    has_number(&app, "alice");
    let (code, phone) = (app.code("alice"), phone_code(&app, "alice"));
    let first = app.api.login_with_phone(&code, &phone).await;
    let second = app.api.login_with_phone(&code, &phone).await;
    assert_eq!(first.ok(200), second.ok(200));
    assert_eq!(first.data()["phone"], json!({"status": "bound"}));
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
    // So does one that fails.
    let code = app.code("bob");
    for _ in 0..2 {
        let answer = app.api.login_with_phone(&code, "never-given-out").await;
        assert_failed(&answer, "phone_code_invalid");
    }
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_with_the_same_codes_at_once_are_one(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let (code, phone) = (app.code("alice"), phone_code(&app, "alice"));
    let logins = (0..8).map(|_| app.api.login_with_phone(&code, &phone));
    let answers = join_all(logins).await;
    for answer in &answers {
        assert_eq!(answer.ok(200), answers[0].data());
        assert_eq!(answer.data()["phone"], json!({"status": "bound"}));
    }
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_says_that_another_user_has_the_number(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_number(&app, "alice");
    has_number(&app, "bob");
    log_in_with(&app, "alice", &phone_code(&app, "alice"))
        .await
        .ok(200);
    app.clock.advance_seconds(91 * A_DAY);
    let (code, phone) = (app.code("bob"), phone_code(&app, "bob"));
    let first = app.api.login_with_phone(&code, &phone).await;
    // A client that misses the answer gets another ticket, which replaces the first.
    let second = app.api.login_with_phone(&code, &phone).await;
    let tokens = Tokens::of(&first);
    assert_eq!(tokens, Tokens::of(&second));
    let ticket = |answer: &Answer| {
        let phone = &answer.ok(200)["phone"];
        let shown = [&phone["status"], &phone["choice"], &phone["expiresIn"]];
        assert_eq!(shown, [&json!("taken"), &json!("take"), &json!(600)]);
        phone["ticket"].as_str().unwrap().to_owned()
    };
    let resolve = async |ticket: &str| {
        let access = &tokens.access;
        app.api.resolve_phone(access, ticket, "take").await
    };
    resolve(&ticket(&first)).await.fails(409, "ticket_invalid");
    let user = resolve(&ticket(&second)).await;
    assert_eq!(user.ok(200)["phone"], NUMBER);
    // Where nothing is offered, nothing but that is said.
    app.disable(&tokens.user_id()).await;
    has_number(&app, "carol");
    let answer = log_in_with(&app, "carol", &phone_code(&app, "carol")).await;
    assert_eq!(answer.ok(200)["phone"], json!({"status": "taken"}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_phone_code_binds_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let code = phone_code(&app, "alice");
    assert_failed(&log_in_with(&app, "bob", &code).await, "phone_code_invalid");
    // Nor does one of wx.login.
    let answer = log_in_with(&app, "bob", &app.code("bob")).await;
    assert_failed(&answer, "phone_code_invalid");
    // It is still its owner's.
    let answer = log_in_with(&app, "alice", &code).await;
    assert_eq!(answer.ok(200)["phone"], json!({"status": "bound"}));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_phone_code_is_a_violation(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    for bad in ["", "a b", "码", &"x".repeat(257)] {
        log_in_with(&app, "alice", bad)
            .await
            .fails_at(&["phoneCode"]);
    }
    let both = app.api.login_with_phone("", "").await;
    both.fails_at(&["code", "phoneCode"]);
    assert_eq!(app.code2session_calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_succeeds_whatever_wechat_says_of_the_number(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for (path, code, reason) in [
        (PHONE_NUMBER, -1, "unavailable"),
        (PHONE_NUMBER, 40029, "phone_code_invalid"),
        (PHONE_NUMBER, 45011, "rate_limited"),
        (PHONE_NUMBER, 48001, "internal"),
        (PHONE_NUMBER, 47001, "upstream_error"),
    ] {
        set_fault(&app, path, &errcode(code));
        let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
        assert_failed(&answer, reason);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_needs_no_access_token(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    set_fault(&app, STABLE_TOKEN, &errcode(40164));
    let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
    assert_failed(&answer, "internal");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_answered_although_the_number_does_not_arrive(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let slow = wechat_simulator::Fault {
        latency_ms: Some(20_000),
        ..wechat_simulator::Fault::default()
    };
    set_fault(&app, PHONE_NUMBER, &slow);
    let (code, phone) = (app.code("alice"), phone_code(&app, "alice"));
    let start = Instant::now();
    let answer = app.api.login_with_phone(&code, &phone).await;
    assert_failed(&answer, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    app.api.info(&Tokens::of(&answer).access).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_was_not_stored_is_bound_later(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    has_number(&app, "alice");
    let (front, api) = Front::of(&app).await;
    front.breaks_only("PHONE#", "TransactWriteItems", Fault::Fails);
    let phone = phone_code(&app, "alice");
    let answer = api.login_with_phone(&app.code("alice"), &phone).await;
    assert_failed(&answer, "unavailable");
    front.heal();
    // By the same code, of which WeChat is not asked again.
    let access = Tokens::of(&answer).access;
    let user = api.bind_phone(&access, &phone).await;
    assert_eq!(user.ok(200)["phone"], NUMBER);
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_fails_binds_nothing(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let answer = log_in_with(&app, "alice", "x").await;
    assert_failed(&answer, "phone_code_invalid");
    app.disable(&tokens.user_id()).await;
    let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
    answer.fails(403, "user_disabled");
    assert!(app.rows().await.keys().all(|(_, sk)| sk != "OWNER"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_logins_count_against_the_accounts_limit(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_WECHAT", "1/h burst 1")
        .start()
        .await;
    let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
    assert_eq!(answer.ok(200)["phone"], json!({"status": "bound"}));
    let answer = log_in_with(&app, "alice", &phone_code(&app, "alice")).await;
    assert_eq!(answer.ok(200)["phone"]["reason"], "rate_limited");
    assert_eq!(app.wechat.calls(PHONE_NUMBER), 1);
}
