//! Forged and malformed requests.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID, push_configs},
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
};
use rstest::rstest;
use serde_json::json;
use wechat_simulator::{PushMode, PushOrder, PushRequest};

use super::pushes::{
    CustomHandler, PATH, debug_demo, deliver, event, other_wechat, plain, refusal, text, xml,
};

/// Orders to tamper with: each mode, each format, and URL verification.
fn orders() -> Vec<PushOrder> {
    let question = |app_id: &str| PushOrder {
        verify: true,
        user: "x".into(),
        app_id: Some(app_id.into()),
        ..PushOrder::default()
    };
    let mut orders: Vec<_> = super::pushes::every_way(&debug_demo())
        .into_iter()
        .map(|(_, order)| order)
        .collect();
    orders.extend([question(APP_ID), question(OTHER_APP_ID)]);
    orders
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_with_another_token_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let stranger = other_wechat(&app, |config| config.token.push('x'));
    for order in orders() {
        refusal(&app.api, &stranger.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_an_unsigned_query_are_charged_to_their_address(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let builder = TestApp::builder(state).set("RATE_LIMIT_GUEST", "1/min burst 2");
    let app = builder.start().await;
    let stranger = other_wechat(&app, |config| config.token.push('x'));
    let forged = || stranger.push(&debug_demo()).unwrap();
    for _ in 0..2 {
        let answer = refusal(&app.api, &forged()).await;
        answer.fails(400, "decrypt_failed");
    }
    let answer = refusal(&app.api, &forged()).await;
    answer.fails(429, "rate_limited");
    // WeChat's own messages, from the same address, are not counted.
    for order in super::pushes::every_way(&debug_demo()) {
        let push = app.wechat.push(&order.1).unwrap();
        deliver(&app.api, &push).await.assert_success();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_encrypted_with_another_key_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let stranger = other_wechat(&app, |config| {
        config.encoding_aes_key = Some("k".repeat(43));
    });
    for order in [debug_demo(), xml(debug_demo())] {
        refusal(&app.api, &stranger.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_another_mini_program_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let [_, other] = push_configs();
    // Signed with our token and encrypted with our key, but for another mini-program.
    let stranger = other_wechat(&app, |config| {
        config.app_id = if config.app_id == APP_ID {
            "wx1".into()
        } else {
            "wx2".into()
        }
    });
    for app_id in ["wx1", "wx2"] {
        let order = PushOrder {
            app_id: Some(app_id.into()),
            ..debug_demo()
        };
        let push = stranger.push(&order).unwrap();
        if app_id == "wx1" {
            refusal(&app.api, &push).await.fails(400, "decrypt_failed");
        } else {
            // Without encryption only the token identifies the mini-program.
            assert!(other.encoding_aes_key.is_none());
            deliver(&app.api, &push).await.assert_success();
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mini_program_with_a_key_rejects_plain_messages(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    for order in [debug_demo(), xml(debug_demo())] {
        let order = PushOrder {
            mode: Some(PushMode::Plain),
            ..order
        };
        let push = app.wechat.push(&order).unwrap();
        refusal(&handler.api, &push)
            .await
            .fails(400, "decrypt_failed");
        // Nor one that only pretends to be encrypted.
        let body = push.body.replacen('{', r#"{"Encrypt":"AAAA","#, 1);
        let push = PushRequest {
            query: format!("{}&encrypt_type=aes&msg_signature=", push.query),
            body,
            ..push
        };
        refusal(&handler.api, &push)
            .await
            .fails(400, "decrypt_failed");
    }
    assert_eq!(handler.calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_signature_does_not_authenticate_a_ciphertext(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    let signature = parameter(&push, "signature").to_owned();
    let msg_signature = parameter(&push, "msg_signature").to_owned();
    let query = push.query.replace(&msg_signature, &signature);
    refusal(
        &app.api,
        &PushRequest {
            query,
            ..push.clone()
        },
    )
    .await
    .fails(400, "decrypt_failed");
    // The same ciphertext with another timestamp.
    let timestamp = parameter(&push, "timestamp");
    let later = (timestamp.parse::<u64>().unwrap() + 1).to_string();
    let query = push.query.replace(timestamp, &later);
    refusal(
        &app.api,
        &PushRequest {
            query,
            ..push.clone()
        },
    )
    .await
    .fails(400, "decrypt_failed");
    deliver(&app.api, &push).await.assert_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_query_or_ciphertext_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    for name in ["timestamp", "nonce", "msg_signature"] {
        let value = parameter(&push, name);
        for changed in [
            String::new(),
            format!("{value}1"),
            value[1..].to_owned(),
            "é".to_owned(),
        ] {
            let query = push
                .query
                .replace(&format!("&{name}={value}"), &format!("&{name}={changed}"));
            assert_ne!(query, push.query);
            refusal(
                &app.api,
                &PushRequest {
                    query,
                    ..push.clone()
                },
            )
            .await
            .fails(400, "decrypt_failed");
        }
    }
    let start = push.body.find(r#""Encrypt":""#).unwrap() + 11;
    for body in [
        push.body.replacen(&push.body[start..start + 4], "AAAA", 1),
        push.body[..push.body.len() - 10].to_owned(),
        push.body.replace("Encrypt", "encrypt"),
        push.body.replace("==\"", "\"").replace("=\"", "\""),
        String::new(),
        "{}".to_owned(),
        "<xml></xml>".to_owned(),
    ] {
        if body != push.body {
            refusal(
                &app.api,
                &PushRequest {
                    body,
                    ..push.clone()
                },
            )
            .await
            .fails(400, "decrypt_failed");
        }
    }
    deliver(&app.api, &push).await.assert_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timestamp_outside_the_window_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for order in orders() {
        let push = app.wechat.push(&order).unwrap();
        app.clock.advance_seconds(301);
        refusal(&app.api, &push).await.fails(400, "decrypt_failed");
        let push = app.wechat.push(&order).unwrap();
        app.clock.advance_seconds(-301);
        refusal(&app.api, &push).await.fails(400, "decrypt_failed");
        let push = app.wechat.push(&order).unwrap();
        app.clock.advance_seconds(300);
        assert_eq!(deliver(&app.api, &push).await.status, 200);
    }
    let patient = app
        .another_instance_with(&[("MESSAGE_PUSH_MAX_AGE_SECONDS", "3600")])
        .await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    app.clock.advance_seconds(3600);
    deliver(&patient, &push).await.assert_success();
}

/// The signature covers timestamp and nonce concatenated, so it does not fix their boundary.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timestamp_in_another_notation_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let push = app.wechat.push(&plain(debug_demo())).unwrap();
    let timestamp = parameter(&push, "timestamp");
    for spelling in [
        format!("0{timestamp}"),
        format!("%2B{timestamp}"),
        format!("{timestamp}.0"),
        format!("{timestamp}%20"),
    ] {
        let query = push.query.replace(
            &format!("&timestamp={timestamp}"),
            &format!("&timestamp={spelling}"),
        );
        assert_ne!(query, push.query);
        refusal(
            &app.api,
            &PushRequest {
                query,
                ..push.clone()
            },
        )
        .await
        .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_signature_is_good_for_one_message(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    let push = app.wechat.push(&plain(text("hello"))).unwrap();
    deliver(&handler.api, &push).await.assert_success();
    // The signature is reused for another message.
    let forged = app
        .wechat
        .push(&plain(event("user_authorization_cancellation", json!({}))))
        .unwrap();
    let forged = PushRequest {
        query: push.query.clone(),
        ..forged
    };
    refusal(&handler.api, &forged)
        .await
        .fails(400, "decrypt_failed");
    deliver(&handler.api, &push).await.assert_success();
    assert_eq!(handler.calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_message_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    for body in [
        "",
        "hello",
        "[]",
        "{",
        "{\"a\":}",
        "<xml>",
        "<html></html>",
        "<xml><a></b></xml>",
        "null",
        "\u{0}",
    ] {
        let push = app.wechat.push(&plain(debug_demo())).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&app.api, &push).await.fails(400, "invalid_request");
    }
    let push = app.wechat.push(&plain(debug_demo())).unwrap();
    let not_text = app
        .api
        .request("POST", &format!("{PATH}?{}", push.query))
        .body([0xff, 0xfe]);
    not_text.send().await.fails(400, "invalid_request");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_xml_bomb_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let laughs = "<!DOCTYPE xml [<!ENTITY a \"haha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><xml><MsgType>&c;</MsgType></xml>";
    let file = "<!DOCTYPE xml [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><MsgType>&f;</MsgType></xml>";
    let deep = format!("<xml>{}{}</xml>", "<a>".repeat(8000), "</a>".repeat(8000));
    let wide = format!("<xml>{}</xml>", "<a/>".repeat(12_000));
    let deep_json = format!(
        r#"{{"MsgType":{}{}}}"#,
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    for body in [laughs, file, &deep, &wide, &deep_json] {
        assert!(body.len() < 65_536);
        let push = app.wechat.push(&plain(debug_demo())).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&app.api, &push).await.fails(400, "invalid_request");
        // And for a mini-program with a key, before anything is decrypted.
        let push = app.wechat.push(&debug_demo()).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&app.api, &push).await.fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_message_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    for order in [debug_demo(), plain(debug_demo())] {
        let push = app.wechat.push(&order).unwrap();
        let body = format!("{}{}", push.body, " ".repeat(65_536));
        refusal(&app.api, &PushRequest { body, ..push })
            .await
            .fails(413, "body_too_large");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_query_is_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let question = PushOrder {
        verify: true,
        user: "x".into(),
        ..PushOrder::default()
    };
    let question = app.wechat.push(&question).unwrap();
    let without_echo = question.query.split("&echostr").next().unwrap().to_owned();
    refusal(
        &app.api,
        &PushRequest {
            query: without_echo,
            ..question
        },
    )
    .await
    .fails(400, "invalid_request");
    let twice = app.wechat.push(&debug_demo()).unwrap();
    let query = format!("{}&nonce=1", twice.query);
    refusal(&app.api, &PushRequest { query, ..twice })
        .await
        .fails(400, "invalid_request");
    let nothing = PushRequest {
        method: "POST",
        query: String::new(),
        content_type: "",
        body: String::new(),
    };
    refusal(&app.api, &nothing)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_settings_every_message_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let unconfigured = app.another_instance_with(&[("MESSAGE_PUSH", "")]).await;
    for order in orders() {
        refusal(&unconfigured, &app.wechat.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_are_rejected(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        app.api
            .request(method, PATH)
            .send()
            .await
            .fails(405, "method_not_allowed");
    }
}

fn parameter<'a>(push: &'a PushRequest, name: &str) -> &'a str {
    let pairs = push
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(found, _)| *found == name)
        .unwrap_or_else(|| panic!("no {name}: {}", push.query))
        .1
}
