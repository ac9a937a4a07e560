//! Mini-program codes.

use base64::{Engine, prelude::BASE64_STANDARD};
use e2e::{
    http::Answer,
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{Fault, Quota};

use super::{set_errcode, with};

const PATH: &str = "/wxa/getwxacodeunlimit";

fn body() -> Value {
    json!({"scene": "inviter=7", "page": "pages/index/index"})
}

/// The picture of an answer.
#[track_caller]
fn picture(answer: &Answer) -> Vec<u8> {
    let code = answer.ok(200);
    assert_eq!(code["contentType"], "image/png");
    let picture = BASE64_STANDARD.decode(code["data"].as_str().unwrap());
    picture.unwrap()
}

/// What the simulator says in a picture that its code says.
fn said(picture: &[u8]) -> Value {
    let name = b"mini-program-code\0";
    let mut windows = picture.windows(name.len());
    let start = windows.position(|window| window == name).unwrap() + name.len();
    let end = start
        + picture[start..]
            .iter()
            .position(|byte| *byte == b'}')
            .unwrap();
    serde_json::from_slice(&picture[start..=end]).unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_made_once_for_all_who_ask_for_it(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let alice = app.log_in("alice").await;
    let bob = app.log_in("bob").await;
    let first = picture(&app.api.code(&alice.access, &body()).await);
    assert_eq!(picture(&app.api.code(&bob.access, &body()).await), first);
    if state == Redis {
        let other = app.another_instance().await;
        assert_eq!(picture(&other.code(&bob.access, &body()).await), first);
    }
    assert_eq!(app.wechat.calls(PATH), 1);
    let expected = json!({
        "appId": APP_ID, "scene": "inviter=7", "page": "pages/index/index", "envVersion": "release",
    });
    assert_eq!(said(&first), expected);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_kept_for_its_time(#[values(InProcess, Redis)] state: SharedState) {
    let mut app = TestApp::builder(state).own_redis().start().await;
    let tokens = app.log_in("alice").await;
    app.api.code(&tokens.access, &body()).await.ok(200);
    if state == InProcess {
        app.clock.advance_seconds(3601);
        app.api.code(&tokens.access, &body()).await.ok(200);
        assert_eq!(app.wechat.calls(PATH), 2);
    }
    let made = app.wechat.calls(PATH);
    app.api.code(&tokens.access, &body()).await.ok(200);
    assert_eq!(app.wechat.calls(PATH), made);
    app.lose_shared_state().await;
    app.api.code(&tokens.access, &body()).await.ok(200);
    assert_eq!(app.wechat.calls(PATH), made + 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_codes_and_mini_programs_have_codes_of_their_own(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let code = app.code_in(OTHER_APP_ID, "alice");
    let elsewhere = Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    let first = picture(&app.api.code(&tokens.access, &body()).await);
    let others = [
        (&tokens, with(&body(), "scene", "inviter=8")),
        (&tokens, with(&body(), "page", "pages/order/order")),
        (&tokens, with(&body(), "envVersion", "trial")),
        (&tokens, with(&body(), "width", 1280)),
        (&tokens, with(&body(), "transparent", true)),
        (&tokens, json!({"scene": "inviter=7"})),
        (&elsewhere, body()),
    ];
    let count = others.len() as u64;
    for (tokens, body) in others {
        let other = picture(&app.api.code(&tokens.access, &body).await);
        // The simulator draws no backgrounds.
        if body["transparent"] == Value::Null {
            assert_ne!(other, first, "{body}");
        }
    }
    assert_eq!(app.wechat.calls(PATH), 1 + count);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ask_at_once_one_has_the_code_made(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let slow = Fault {
        path: Some(PATH.to_owned()),
        latency_ms: Some(200),
        ..Fault::default()
    };
    app.wechat.set_faults([slow]).unwrap();
    let body = body();
    let calls = (0..8).map(|_| app.api.code(&tokens.access, &body));
    let pictures: Vec<_> = join_all(calls).await.iter().map(picture).collect();
    assert!(pictures.iter().all(|picture| *picture == pictures[0]));
    assert_eq!(app.wechat.calls(PATH), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_not_published_is_refused_where_it_is_checked(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    let pages = ["pages/index/index".to_owned()];
    app.wechat.set_pages(pages, None).unwrap();
    let gone = with(&body(), "page", "pages/gone/gone");
    app.api
        .code(&tokens.access, &gone)
        .await
        .fails(400, "target_invalid");
    let unchecked = with(&gone, "checkPath", false);
    let picture = picture(&app.api.code(&tokens.access, &unchecked).await);
    assert_eq!(said(&picture)["page"], "pages/gone/gone");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wechat_refuses_has_a_reason_and_is_not_cached(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for (errcode, status, reason) in [
        (41030, 400, "target_invalid"),
        (40097, 400, "target_invalid"),
        (85096, 400, "target_invalid"),
        (45009, 429, "rate_limited"),
        (45011, 429, "rate_limited"),
        (48001, 500, "internal"),
        (40001, 502, "upstream_error"),
        (47001, 502, "upstream_error"),
        (-1, 503, "unavailable"),
    ] {
        set_errcode(&app, PATH, errcode);
        let answer = app.api.code(&tokens.access, &body()).await;
        answer.fails(status, reason);
    }
    app.wechat.clear_faults();
    app.api.code(&tokens.access, &body()).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_a_limit_for_which_cached_codes_do_not_count(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("RATE_LIMIT_CODES", "1/h burst 2")
        .start()
        .await;
    let tokens = app.log_in("alice").await;
    let scene = |scene: &str| with(&body(), "scene", scene);
    for body in [scene("a"), scene("b"), scene("a"), scene("b")] {
        app.api.code(&tokens.access, &body).await.ok(200);
    }
    let denied = app.api.code(&tokens.access, &scene("c")).await;
    denied.fails(429, "rate_limited");
    let wait: u64 = denied.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{denied:?}");
    app.api.code(&tokens.access, &scene("a")).await.ok(200);
    let bob = app.log_in("bob").await;
    app.api.code(&bob.access, &scene("c")).await.ok(200);
    assert_eq!(app.wechat.calls(PATH), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_code_is_served_when_wechats_quota_is_used_up(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    app.wechat.set_quota(Quota::Codes, 1, None).unwrap();
    app.api.code(&tokens.access, &body()).await.ok(200);
    let other = with(&body(), "scene", "b");
    app.api
        .code(&tokens.access, &other)
        .await
        .fails(429, "rate_limited");
    app.api.code(&tokens.access, &body()).await.ok(200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_codes_are_rejected_without_a_call(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let tokens = app.log_in("alice").await;
    for (name, value) in [
        ("scene", json!("")),
        ("scene", json!("a b")),
        ("scene", json!("场景")),
        ("scene", json!("x".repeat(33))),
        ("scene", json!(7)),
        ("page", json!("")),
        ("page", json!("/pages/index/index")),
        ("page", json!("pages/index/index?a=1")),
        ("page", json!("x".repeat(129))),
        ("width", json!(279)),
        ("width", json!(1281)),
        ("width", json!(-1)),
        ("envVersion", json!("formal")),
        ("checkPath", json!("yes")),
        ("transparent", json!(1)),
        ("line_color", json!({})),
    ] {
        let answer = app
            .api
            .code(&tokens.access, &with(&body(), name, value))
            .await;
        answer.fails_at(&[name]);
    }
    let bad = json!({"scene": "", "page": "/", "width": 1});
    let answer = app.api.code(&tokens.access, &bad).await;
    answer.fails_at(&["page", "scene", "width"]);
    assert_eq!(app.wechat.calls(PATH), 0);
}
