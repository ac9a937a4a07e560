//! Logins while WeChat or DynamoDB refuses, fails or is unreachable.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        CODE2SESSION,
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    wire_proxy,
};
use rstest::rstest;
use wechat_simulator::{Fault, Garbage, UserChange};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_blocked_by_wechat_is_blocked(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.wechat
        .change_user(
            "alice",
            UserChange {
                high_risk: Some(true),
                ..UserChange::default()
            },
        )
        .unwrap();
    app.api
        .login(&app.code("alice"))
        .await
        .fails(403, "user_blocked");
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_errcode_has_its_status_and_reason(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let expected = [
        (-1, 503, "unavailable"),
        (40029, 400, "code_invalid"),
        (40163, 400, "code_used"),
        (40226, 403, "user_blocked"),
        (45011, 429, "rate_limited"),
        (40013, 500, "internal"),
        (40125, 500, "internal"),
        (41002, 500, "internal"),
        (41004, 500, "internal"),
        (41008, 500, "internal"),
        (40164, 500, "internal"),
        (47001, 502, "upstream_error"),
    ];
    for (errcode, status, reason) in expected {
        app.fail_code2session(Fault {
            errcode: Some(errcode),
            ..Fault::default()
        });
        let answer = app.api.login(&app.code("alice")).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (status, Some(reason)),
            "errcode {errcode}"
        );
        let retry_after = answer.header("retry-after");
        // WeChat's limit is per minute.
        let expected = match status {
            429 => Some("60"),
            503 => Some("1"),
            _ => None,
        };
        assert_eq!(retry_after, expected, "errcode {errcode}");
    }
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_app_secret_is_an_internal_error(#[values(InProcess, Redis)] state: SharedState) {
    let wrong = format!("{APP_ID}:not-the-secret,{OTHER_APP_ID}:neither");
    let app = TestApp::builder(state)
        .set("WECHAT_SECRETS", &wrong)
        .start()
        .await;
    app.api
        .login(&app.code("alice"))
        .await
        .fails(500, "internal");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_wechat_is_a_504_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            latency_ms: Some(10_000),
            ..Fault::default()
        },
        504,
        "upstream_timeout",
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_is_a_502_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            reset: true,
            ..Fault::default()
        },
        502,
        "upstream_error",
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_answer_is_a_502_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            garbage: Garbage::Noise,
            ..Fault::default()
        },
        502,
        "upstream_error",
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_answer_is_a_502_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            garbage: Garbage::Truncated,
            ..Fault::default()
        },
        502,
        "upstream_error",
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_500_is_a_502_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            status: Some(500),
            ..Fault::default()
        },
        502,
        "upstream_error",
    )
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_503_is_a_502_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    ambiguous(
        state,
        Fault {
            status: Some(503),
            ..Fault::default()
        },
        502,
        "upstream_error",
    )
    .await;
}

/// A failure after which it is unknown whether WeChat accepted the code.
async fn ambiguous(state: SharedState, fault: Fault, status: u16, reason: &str) {
    let app = TestApp::builder(state)
        .set("WECHAT_TIMEOUT_MS", "1000")
        .start()
        .await;
    let code = app.code("alice");
    app.fail_code2session(fault);
    app.api.login(&code).await.fails(status, reason);
    assert!(app.rows().await.is_empty());
    app.wechat.clear_faults();
    app.api.login(&code).await.fails(400, "code_used");
    assert_eq!(app.code2session_calls(), 1);
    assert_eq!(
        app.api.login(&app.code("alice")).await.ok(200)["isNewUser"],
        true
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_past_its_deadline_is_a_504_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state)
        .set("REQUEST_TIMEOUT_MS", "1000")
        .start()
        .await;
    let code = app.code("alice");
    app.fail_code2session(Fault {
        latency_ms: Some(10_000),
        ..Fault::default()
    });
    app.api.login(&code).await.fails(504, "upstream_timeout");
    app.wechat.clear_faults();
    // The call was cancelled with its request, so its outcome is recorded as unknown.
    app.api.login(&code).await.fails(400, "code_used");
    assert_eq!(app.code2session_calls(), 1);
    assert!(app.rows().await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_without_dynamodb_is_a_503_and_its_code_is_never_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).proxied().start().await;
    let code = app.code("alice");
    app.proxies().dynamodb.set(wire_proxy::Fault::Refuse).await;
    let answer = app.api.login(&code).await;
    answer.fails(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    app.proxies().dynamodb.heal().await;
    assert!(app.rows().await.is_empty());
    app.api.login(&code).await.fails(400, "code_used");
    assert_eq!(app.code2session_calls(), 1);
    assert_eq!(
        app.api.login(&app.code("alice")).await.ok(200)["isNewUser"],
        true
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_retried_while_wechat_is_busy(
    #[values(InProcess, Redis)] state: SharedState,
) {
    retried_after_errcode(state, -1, 503, "unavailable").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_retried_after_throttling(#[values(InProcess, Redis)] state: SharedState) {
    retried_after_errcode(state, 45011, 429, "rate_limited").await;
}

async fn retried_after_errcode(state: SharedState, errcode: i32, status: u16, reason: &str) {
    let app = TestApp::start(state).await;
    let code = app.code("alice");
    app.fail_code2session(Fault {
        errcode: Some(errcode),
        times: Some(1),
        ..Fault::default()
    });
    app.api.login(&code).await.fails(status, reason);
    assert_eq!(app.api.login(&code).await.ok(200)["isNewUser"], true);
    assert_eq!(app.code2session_calls(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_retried_after_a_refused_connection(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::builder(state).proxied().start().await;
    let code = app.code("alice");
    app.proxies().wechat.set(wire_proxy::Fault::Refuse).await;
    app.api.login(&code).await.fails(503, "unavailable");
    assert!(app.rows().await.is_empty());
    app.proxies().wechat.heal().await;
    assert_eq!(app.api.login(&code).await.ok(200)["isNewUser"], true);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_calls_only_code2session(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    app.log_in("alice").await;
    app.log_in("alice").await;
    assert_eq!(
        app.wechat.all_calls().into_iter().collect::<Vec<_>>(),
        [(CODE2SESSION.to_owned(), 2)]
    );
}
