//! Messages that can't be carried out are never acknowledged, and the log says why.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
    wire_proxy::Fault,
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{PushMode, PushOrder, PushRequest};

use super::pushes::{
    CustomHandler, PATH, debug_demo, deliver, event, only_encrypt, other_wechat, plain,
    plain_request, refusal, secure_request,
};

/// The log line of a request.
fn request_line(log: &e2e::test_app::LogCapture, request_id: &str) -> Value {
    let lines = log
        .logs()
        .json_where("request_id", &json!(request_id))
        .into_iter()
        .find(|line| line["message"] == "request");
    lines.unwrap_or_else(|| panic!("no line of {request_id}"))
}

async fn cause(app: &TestApp, push: &PushRequest, status: u16, reason: &str) -> String {
    let log = capture();
    let answer = refusal(&app.api, push).await;
    answer.fails(status, reason);
    let line = request_line(&log, answer.header("x-request-id").unwrap());
    line["cause"].as_str().unwrap_or_default().to_owned()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_event_that_is_not_understood_is_sent_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    for (event, field) in [
        (
            r#""Event":"user_authorization_revoke","OpenID":"o1""#,
            "RevokeInfo",
        ),
        (
            r#""Event":"user_authorization_revoke","OpenID":"o1","RevokeInfo":"nonsense""#,
            "RevokeInfo",
        ),
        (
            r#""Event":"user_authorization_revoke","RevokeInfo":"6""#,
            "OpenID",
        ),
        (
            r#""Event":"user_authorization_cancellation","OpenID":{"id":"o1"}"#,
            "OpenID",
        ),
        (
            r#""Event":"user_info_modified","OpenID":"not an id""#,
            "OpenID",
        ),
        (r#""Event":"","OpenID":"o1""#, "Event"),
        (r#""OpenID":"o1""#, "Event"),
    ] {
        let message = format!(r#"{{"MsgType":"event","CreateTime":1,{event}}}"#);
        for push in [
            plain_request(&app, &message),
            secure_request(&app, &message, only_encrypt),
        ] {
            for _ in 0..2 {
                let log = capture();
                let answer = refusal(&handler.api, &push).await;
                answer.fails(500, "internal");
                let id = json!(answer.header("x-request-id").unwrap());
                let lines = log.logs().json_where("request_id", &id);
                let warning = lines.iter().find(|line| line["level"] == "WARN").unwrap();
                let cause = warning["cause"].as_str().unwrap();
                assert!(cause.contains(field) && !cause.contains("o1"), "{cause}");
                let request = lines.iter().find(|line| line["message"] == "request");
                assert_eq!(request.unwrap()["cause"], warning["cause"]);
            }
        }
    }
    assert_eq!(handler.calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_message_to_a_mini_program_without_a_key_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let wechat = other_wechat(&app, |config| {
        config.encoding_aes_key = Some("k".repeat(43));
    });
    let encrypted = PushOrder {
        mode: Some(PushMode::Secure),
        ..plain(debug_demo())
    };
    let encrypted = wechat.push(&encrypted).unwrap();
    let xml = "<xml><ToUserName>gh_1</ToUserName><Encrypt>AAAA</Encrypt></xml>";
    let marked = PushRequest {
        query: format!("{}&encrypt_type=aes", plain_request(&app, "").query),
        ..plain_request(&app, "{}")
    };
    for push in [encrypted, plain_request(&app, xml), marked] {
        let cause = cause(&app, &push, 500, "internal").await;
        assert!(
            cause.contains("EncodingAESKey") && cause.contains(OTHER_APP_ID),
            "{cause}"
        );
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_verified_the_url_is_good_for_no_message(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let question = PushOrder {
        verify: true,
        user: "x".into(),
        app_id: Some(OTHER_APP_ID.into()),
        ..PushOrder::default()
    };
    let question = app.wechat.push(&question).unwrap();
    assert_eq!(deliver(&app.api, &question).await.status, 200);
    let forged = PushRequest {
        query: question.query.clone(),
        ..plain_request(
            &app,
            r#"{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"o1"}"#,
        )
    };
    let cause = cause(&app, &forged, 400, "decrypt_failed").await;
    assert!(cause.contains("used before"), "{cause}");
    assert_eq!(deliver(&app.api, &question).await.status, 200, "again");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_came_with_a_message_verifies_no_url(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let push = app.wechat.push(&plain(debug_demo())).unwrap();
    deliver(&app.api, &push).await.assert_success();
    let question = PushRequest {
        method: "GET",
        query: format!("{}&echostr=1", push.query),
        content_type: "",
        body: String::new(),
    };
    let cause = cause(&app, &question, 400, "decrypt_failed").await;
    assert!(cause.contains("used before"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_in_the_plain_mode_is_not_verified_while_redis_is_down() {
    let app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let question = |app_id: &str| {
        let order = PushOrder {
            verify: true,
            user: "x".into(),
            app_id: Some(app_id.into()),
            ..PushOrder::default()
        };
        app.wechat.push(&order).unwrap()
    };
    let redis = app.proxies().redis.as_ref().unwrap();
    redis.set(Fault::Refuse).await;
    redis.reset();
    let plain = question(OTHER_APP_ID);
    let cause = cause(&app, &plain, 503, "unavailable").await;
    assert!(cause.contains("shared state is down"), "{cause}");
    // In the secure mode this signature protects nothing.
    let secure = deliver(&app.api, &question(APP_ID)).await;
    assert_eq!(secure.status, 200);
    redis.set(Fault::None).await;
    let verified = async {
        while deliver(&app.api, &plain).await.status == 503 {
            tokio::task::yield_now().await;
        }
    };
    e2e::within_patience("Redis to be used again", verified).await;
    assert_eq!(deliver(&app.api, &plain).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_deletion_waits_for_redis_while_other_messages_go_on() {
    let app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let handler = CustomHandler::start(&app, None, 0).await;
    let redis = app.proxies().redis.as_ref().unwrap();
    redis.set(Fault::Refuse).await;
    redis.reset();
    let deletions = [
        ("user_authorization_revoke", json!({"RevokeInfo": "8"})),
        ("user_info_modified", json!({})),
        ("user_authorization_cancellation", json!({})),
    ];
    for (name, fields) in &deletions {
        let push = app
            .wechat
            .push(&plain(event(name, fields.clone())))
            .unwrap();
        refusal(&handler.api, &push).await.fails(503, "unavailable");
    }
    assert_eq!(handler.calls(), 0);
    deliver(
        &handler.api,
        &app.wechat.push(&plain(debug_demo())).unwrap(),
    )
    .await
    .assert_success();
    // A signature that covers the message needs no help.
    let secure = event("user_info_modified", json!({}));
    deliver(&handler.api, &app.wechat.push(&secure).unwrap())
        .await
        .assert_success();
    assert_eq!(handler.calls(), 2);
    redis.set(Fault::None).await;
    let (name, fields) = &deletions[0];
    let push = app
        .wechat
        .push(&plain(event(name, fields.clone())))
        .unwrap();
    let delivery = async {
        while deliver(&handler.api, &push).await.status == 503 {
            tokio::task::yield_now().await;
        }
    };
    e2e::within_patience("Redis to be used again", delivery).await;
    assert_eq!(handler.calls(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rejection_has_its_own_cause_in_the_log(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let good = app.wechat.push(&debug_demo()).unwrap();
    let with_query = |query: String| PushRequest {
        query,
        ..good.clone()
    };
    let with_body = |body: &str| PushRequest {
        body: body.to_owned(),
        ..good.clone()
    };
    let stranger = |change: fn(&mut wechat_simulator::PushConfig)| {
        other_wechat(&app, change).push(&debug_demo()).unwrap()
    };
    let timestamp = good
        .query
        .split('&')
        .find(|part| part.starts_with("timestamp="))
        .unwrap();
    let decrypt_failed = [
        (with_query(String::new()), "timestamp is missing"),
        (
            with_query(good.query.replace(timestamp, "timestamp=01")),
            "timestamp is missing or",
        ),
        (
            with_query(good.query.replace(timestamp, "timestamp=1")),
            "too far from now",
        ),
        (
            stranger(|config| config.token.push('x')),
            "for every mini-program",
        ),
        (
            stranger(|config| config.encoding_aes_key = Some("k".repeat(43))),
            "EncodingAESKey",
        ),
        (with_body("{}"), "without Encrypt"),
        (with_body("nonsense"), "neither JSON nor XML"),
        (with_body(r#"{"Encrypt":"AAAA"}"#), "for every mini-program"),
    ];
    for (push, part) in decrypt_failed {
        let cause = cause(&app, &push, 400, "decrypt_failed").await;
        assert!(cause.contains(part), "{part}: {cause}");
    }
    for (body, part) in [
        ("", "neither JSON nor XML"),
        ("hello", "neither JSON nor XML"),
        ("{\"secret\":", "line 1 column"),
        ("<xml>secret", "not XML"),
        (&format!("<xml>{}</xml>", "<a>".repeat(20)), "too deep"),
    ] {
        for push in [
            plain_request(&app, body),
            secure_request(&app, body, only_encrypt),
        ] {
            let cause = cause(&app, &push, 400, "invalid_request").await;
            assert!(
                cause.contains(part) && !cause.contains("secret"),
                "{part}: {cause}"
            );
        }
    }
    let repeated = with_query(format!("{}&nonce=1", good.query));
    let cause_of = cause(&app, &repeated, 400, "invalid_request").await;
    assert!(cause_of.contains("duplicate field `nonce`"), "{cause_of}");
    let log = capture();
    let answer = app
        .api
        .request("GET", &format!("{PATH}?{}", good.query))
        .send()
        .await;
    answer.fails(400, "invalid_request");
    let line = request_line(&log, answer.header("x-request-id").unwrap());
    assert!(
        line["cause"]
            .as_str()
            .unwrap()
            .contains("missing field `echostr`")
    );
}
