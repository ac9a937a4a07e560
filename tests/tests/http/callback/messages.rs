//! URL verification, messages from WeChat, and replies to them.

use callback::{PushSecrets, Stamp, push_key};
use e2e::{
    settings::{APP_ID, OTHER_APP_ID, push_configs},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, capture,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{PushFormat, PushMode, PushOrder};

use super::pushes::{CustomHandler, debug_demo, deliver, event, every_way, plain, text, xml};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn url_verification_answers_the_plain_echostr(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for app_id in [APP_ID, OTHER_APP_ID] {
        let order = PushOrder {
            verify: true,
            user: "x".into(),
            app_id: Some(app_id.into()),
            ..PushOrder::default()
        };
        let question = app.wechat.push(&order).unwrap();
        let response = deliver(&app.api, &question).await;
        let echo = question.query.rsplit_once("echostr=").unwrap().1;
        assert_eq!(
            (response.status, response.body.as_str()),
            (200, echo),
            "{app_id}"
        );
        assert_eq!(response.content_type, "text/plain; charset=utf-8");
        // Repeatable.
        assert_eq!(deliver(&app.api, &question).await, response);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_accepted_in_every_mode_and_format(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for order in [
        debug_demo(),
        text("你好 ]]> <b>&amp;</b>"),
        event("wxa_media_check", json!({"trace_id": "t"})),
    ] {
        for (way, order) in every_way(&order) {
            // Another second, another event.
            app.clock.advance_seconds(1);
            let handler = CustomHandler::start(&app, None, 0).await;
            let response = deliver(&handler.api, &app.wechat.push(&order).unwrap()).await;
            assert_eq!(
                (response.status, response.body.as_str(), handler.calls()),
                (200, "success", 1),
                "{way}"
            );
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_an_unknown_kind_is_accepted(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let fields = json!({"list": [{"a": 1}, {"a": 2}], "deep": {"er": {"still": true}}});
    for (_, order) in every_way(&event("an_event_of_tomorrow", fields)) {
        deliver(&app.api, &app.wechat.push(&order).unwrap())
            .await
            .assert_success();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compatible_mode_works_without_a_configured_key(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    // Its console has a key that the backend does not have.
    let wechat = super::pushes::other_wechat(&app, |config| {
        config.encoding_aes_key = Some("k".repeat(43));
    });
    let order = PushOrder {
        mode: Some(PushMode::Compatible),
        ..plain(debug_demo())
    };
    let order = PushOrder {
        mode: Some(PushMode::Compatible),
        ..order
    };
    deliver(&app.api, &wechat.push(&order).unwrap())
        .await
        .assert_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_has_the_format_of_the_message(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, Some(json!({"demo_resp": "good <luck>"})), 0).await;
    let response = deliver(
        &handler.api,
        &app.wechat.push(&plain(debug_demo())).unwrap(),
    )
    .await;
    let expected = (200, "application/json", r#"{"demo_resp":"good <luck>"}"#);
    assert_eq!(
        (
            response.status,
            response.content_type.as_str(),
            response.body.as_str()
        ),
        expected
    );
    let response = deliver(
        &handler.api,
        &app.wechat.push(&xml(plain(debug_demo()))).unwrap(),
    )
    .await;
    let expected = (
        200,
        "text/xml",
        "<xml><demo_resp><![CDATA[good <luck>]]></demo_resp></xml>",
    );
    assert_eq!(
        (
            response.status,
            response.content_type.as_str(),
            response.body.as_str()
        ),
        expected
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_an_encrypted_message_is_encrypted_and_signed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, Some(json!({"demo_resp": "good luck"})), 0).await;
    let [config, _] = push_configs();
    let key = push_key(config.encoding_aes_key.as_deref().unwrap());
    let wechat = PushSecrets::new(config.token.as_str().into(), key);
    for format in [PushFormat::Json, PushFormat::Xml] {
        // XML has only text values, so its content is another event.
        let order = PushOrder {
            format,
            ..debug_demo()
        };
        let response = deliver(&handler.api, &app.wechat.push(&order).unwrap()).await;
        let (_, fields) = callback::push::Format::read(&response.body).unwrap();
        let field = |name: &str| match &fields[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (timestamp, nonce) = (field("TimeStamp"), field("Nonce"));
        assert_eq!(timestamp, "1795420800", "the app's clock");
        let stamp = Stamp {
            timestamp: &timestamp,
            nonce: &nonce,
        };
        let opened = wechat
            .open(stamp, &field("MsgSignature"), &field("Encrypt"))
            .unwrap();
        let (content_type, message) = match format {
            PushFormat::Json => ("application/json", r#"{"demo_resp":"good luck"}"#),
            PushFormat::Xml => (
                "text/xml",
                "<xml><demo_resp><![CDATA[good luck]]></demo_resp></xml>",
            ),
        };
        assert_eq!(
            (response.content_type.as_str(), opened.message.as_str()),
            (content_type, message)
        );
        assert_eq!(opened.receiver, APP_ID);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_logged_without_its_content(#[values(InProcess, Redis)] state: SharedState) {
    let log_capture = capture();
    let app = TestApp::start(state).await;
    let push = app.wechat.push(&text("a-word-of-alice-7Yq2")).unwrap();
    let (status, headers, _) = app
        .api
        .request("POST", &format!("{}?{}", super::pushes::PATH, push.query))
        .body(push.body.as_bytes())
        .send_raw()
        .await;
    assert_eq!(status, 200);
    let id = headers["x-request-id"].to_str().unwrap();
    let log = log_capture.logs();
    let mut lines = log.json_where("message", &"message push".into());
    lines.retain(|line| line["request_id"] == id);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["app_id"]),
        (&json!("text"), &json!(APP_ID))
    );
    let open_id = app.wechat.open_id("alice", None).unwrap();
    log.assert_without_secrets([
        ("a message", "a-word-of-alice-7Yq2"),
        ("an openid", open_id.as_str()),
    ]);
}
