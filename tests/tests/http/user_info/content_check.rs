//! Nicknames checked by WeChat where `CONTENT_CHECK` is `on`.

use e2e::test_app::{
    SharedState::{self, InProcess, Redis},
    TestApp, capture,
};
use rstest::rstest;
use serde_json::{Value, json};
use shared::{clock::Clock, config::Env, instance::Instance, random::Random};
use wechat_simulator::{Fault, REVIEW_KEYWORD, RISKY_KEYWORD};

const CHECK: &str = "/wxa/msg_sec_check";

/// An app that checks nicknames.
async fn checking(state: SharedState, on_failure: &str) -> TestApp {
    let builder = TestApp::builder(state).set("CONTENT_CHECK", "on");
    builder
        .set("CONTENT_CHECK_ON_FAILURE", on_failure)
        .start()
        .await
}

fn set_errcode(app: &TestApp, errcode: i32) {
    let fault = Fault {
        path: Some(CHECK.to_owned()),
        errcode: Some(errcode),
        ..Fault::default()
    };
    app.wechat.set_faults([fault]).unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risky_nickname_is_rejected_and_not_written(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = checking(state, "").await;
    let tokens = app.log_in("alice").await;
    let before = app.rows().await;
    let body = json!({"nickname": RISKY_KEYWORD, "gender": 1});
    let answer = app.api.change(&tokens.access, &body).await;
    answer.fails(400, "content_risky");
    assert_eq!(answer.message(), "内容含有违规信息，请修改后重试");
    assert_eq!(app.rows().await, before);
    app.api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    assert_eq!(app.wechat.calls(CHECK), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nickname_to_be_reviewed_is_written_and_logged(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let log_capture = capture();
    let app = checking(state, "").await;
    let tokens = app.log_in("alice").await;
    let answer = app
        .api
        .change(&tokens.access, &json!({"nickname": REVIEW_KEYWORD}))
        .await;
    assert_eq!(answer.ok(200)["nickname"], REVIEW_KEYWORD);
    let lines = log_capture
        .logs()
        .json_where("audit", &"content_review".into());
    let line = lines
        .iter()
        .find(|line| line["user_id"] == tokens.user_id())
        .unwrap();
    assert_eq!(line["request_id"], answer.header("x-request-id").unwrap());
    assert!(!line.to_string().contains(REVIEW_KEYWORD), "{line}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_fields_are_not_checked(#[values(InProcess, Redis)] state: SharedState) {
    let app = checking(state, "").await;
    let tokens = app.log_in("alice").await;
    for body in [
        json!({"gender": 1}),
        json!({"nickname": null}),
        json!({"avatarUrl": "https://thirdwx.qlogo.cn/x.png"}),
    ] {
        app.api.change(&tokens.access, &body).await.ok(200);
    }
    assert_eq!(app.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_checked_when_content_check_is_off(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let answer = app
        .api
        .change(&tokens.access, &json!({"nickname": RISKY_KEYWORD}))
        .await;
    assert_eq!(answer.ok(200)["nickname"], RISKY_KEYWORD);
    assert_eq!(app.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_nickname_never_reaches_wechat(#[values(InProcess, Redis)] state: SharedState) {
    let app = checking(state, "").await;
    let tokens = app.log_in("alice").await;
    app.api
        .change(&tokens.access, &json!({"nickname": "x"}))
        .await
        .fails_at(&["nickname"]);
    assert_eq!(app.wechat.calls(CHECK), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_check_refuses_by_default(#[values(InProcess, Redis)] state: SharedState) {
    let app = checking(state, "").await;
    let tokens = app.log_in("alice").await;
    for (errcode, status, reason) in [
        (-1, 503, "unavailable"),
        (44991, 429, "rate_limited"),
        (45009, 503, "unavailable"),
        (61010, 503, "unavailable"),
        (40164, 500, "internal"),
        (47001, 502, "upstream_error"),
    ] {
        set_errcode(&app, errcode);
        let answer = app
            .api
            .change(&tokens.access, &json!({"nickname": "小明"}))
            .await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, Some(reason)),
            "{errcode}"
        );
    }
    assert_eq!(
        app.api.info(&tokens.access).await.ok(200)["nickname"],
        Value::Null
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_check_allows_when_configured(#[values(InProcess, Redis)] state: SharedState) {
    capture();
    let app = checking(state, "allow").await;
    let tokens = app.log_in("alice").await;
    for errcode in [-1, 44991, 61010, 40164, 47001, 40001] {
        set_errcode(&app, errcode);
        let nickname = format!("nr {errcode}");
        let answer = app
            .api
            .change(&tokens.access, &json!({"nickname": nickname}))
            .await;
        assert_eq!(answer.ok(200)["nickname"], nickname);
        assert_eq!(app.log_line(&answer)["degraded"], true);
    }
    app.wechat.clear_faults();
    app.api
        .change(&tokens.access, &json!({"nickname": RISKY_KEYWORD}))
        .await
        .fails(400, "content_risky");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inactive_user_cannot_be_checked(#[values(InProcess, Redis)] state: SharedState) {
    let app = checking(state, "refuse").await;
    let tokens = app.log_in("alice").await;
    app.clock.advance_seconds(2 * 3600 - 60);
    app.api
        .change(&tokens.access, &json!({"nickname": "小明"}))
        .await
        .ok(200);
    let tokens = e2e::test_app::Tokens::of(&app.api.refresh(&tokens.refresh).await);
    app.clock.advance_seconds(120);
    app.api
        .change(&tokens.access, &json!({"nickname": "小红"}))
        .await
        .fails(503, "unavailable");
    app.code("alice");
    app.api
        .change(&tokens.access, &json!({"nickname": "小红"}))
        .await
        .ok(200);
}

#[test]
fn wechat_secrets_are_required_only_when_content_check_is_on() {
    let needed = |check: &str| {
        let env = Env::new([("CONTENT_CHECK", check), ("WECHAT_APPIDS", "wx1")]);
        let instance = Instance::new(env, Clock::System, Random::System);
        let problems = instance.app(user_info::routes(&instance)).unwrap_err();
        problems
            .0
            .iter()
            .any(|problem| problem.name == "WECHAT_SECRETS")
    };
    assert!(needed("on") && !needed("off") && !needed(""));
    let env = Env::new([
        ("CONTENT_CHECK", "yes"),
        ("CONTENT_CHECK_ON_FAILURE", "maybe"),
    ]);
    let instance = Instance::new(env, Clock::System, Random::System);
    let refused = instance
        .app(user_info::routes(&instance))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("CONTENT_CHECK: can't be read; wanted: on or off"),
        "{refused}"
    );
    assert!(
        refused.contains("CONTENT_CHECK_ON_FAILURE: can't be read; wanted: refuse or allow"),
        "{refused}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_cannot_get_around_the_check_by_using_up_its_calls(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("CONTENT_CHECK", "on")
        .set("CONTENT_CHECK_ON_FAILURE", "allow")
        .set("RATE_LIMIT_WECHAT", "2/h burst 2")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    for nickname in ["小明", "小红"] {
        let body = json!({"nickname": nickname});
        app.api.change(&tokens.access, &body).await.ok(200);
    }
    let body = json!({"nickname": RISKY_KEYWORD});
    let answer = app.api.change(&tokens.access, &body).await;
    answer.fails(429, "rate_limited");
    assert!(answer.header("ratelimit").unwrap().contains("wechat"));
    assert_eq!(
        app.api.info(&tokens.access).await.ok(200)["nickname"],
        "小红"
    );
}
