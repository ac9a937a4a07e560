//! Requests that are not WeChat's, or not what WeChat said.

use e2e::{
    settings::{APP_ID, OTHER_APP_ID, push_configs},
    world::SharedState::{self, InProcess, Redis},
};
use rstest::rstest;
use serde_json::json;
use wechat_simulator::{PushMode, PushOrder, PushRequest};

use super::pushes::{
    Own, PATH, debug_demo, deliver, event, other_wechat, plain, refusal, text, world, xml,
};

/// Every order that hostile hands change: each mode, each form, and the question.
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
async fn whoever_does_not_know_the_token_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let stranger = other_wechat(&world, |config| config.token.push('x'));
    for order in orders() {
        refusal(&world.api, &stranger.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_know_the_key_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let stranger = other_wechat(&world, |config| {
        config.encoding_aes_key = Some("k".repeat(43))
    });
    for order in [debug_demo(), xml(debug_demo())] {
        refusal(&world.api, &stranger.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_another_mini_program_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let [_, other] = push_configs();
    // Signed with our token and encrypted with our key, and still somebody else's.
    let stranger = other_wechat(&world, |config| {
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
            refusal(&world.api, &push)
                .await
                .fails(400, "decrypt_failed");
        } else {
            // Without encryption the token alone says whose it is.
            assert!(other.encoding_aes_key.is_none());
            deliver(&world.api, &push).await.is_success();
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mini_program_with_a_key_takes_no_plain_message(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 0).await;
    for order in [debug_demo(), xml(debug_demo())] {
        let order = PushOrder {
            mode: Some(PushMode::Plain),
            ..order
        };
        let push = world.wechat.push(&order).unwrap();
        refusal(&own.api, &push).await.fails(400, "decrypt_failed");
        // Nor one that only looks encrypted.
        let body = push.body.replacen('{', r#"{"Encrypt":"AAAA","#, 1);
        let push = PushRequest {
            query: format!("{}&encrypt_type=aes&msg_signature=", push.query),
            body,
            ..push
        };
        refusal(&own.api, &push).await.fails(400, "decrypt_failed");
    }
    assert_eq!(own.calls(), 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_of_the_query_does_not_vouch_for_a_ciphertext(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    let signature = parameter(&push, "signature").to_owned();
    let msg_signature = parameter(&push, "msg_signature").to_owned();
    let query = push.query.replace(&msg_signature, &signature);
    refusal(
        &world.api,
        &PushRequest {
            query,
            ..push.clone()
        },
    )
    .await
    .fails(400, "decrypt_failed");
    // The same ciphertext under another second.
    let timestamp = parameter(&push, "timestamp");
    let later = (timestamp.parse::<u64>().unwrap() + 1).to_string();
    let query = push.query.replace(timestamp, &later);
    refusal(
        &world.api,
        &PushRequest {
            query,
            ..push.clone()
        },
    )
    .await
    .fails(400, "decrypt_failed");
    deliver(&world.api, &push).await.is_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_query_or_ciphertext_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
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
                &world.api,
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
                &world.api,
                &PushRequest {
                    body,
                    ..push.clone()
                },
            )
            .await
            .fails(400, "decrypt_failed");
        }
    }
    deliver(&world.api, &push).await.is_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timestamp_that_is_too_far_from_now_is_refused(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    for order in orders() {
        let push = world.wechat.push(&order).unwrap();
        world.clock.advance_seconds(301);
        refusal(&world.api, &push)
            .await
            .fails(400, "decrypt_failed");
        let push = world.wechat.push(&order).unwrap();
        world.clock.advance_seconds(-301);
        refusal(&world.api, &push)
            .await
            .fails(400, "decrypt_failed");
        let push = world.wechat.push(&order).unwrap();
        world.clock.advance_seconds(300);
        assert_eq!(deliver(&world.api, &push).await.status, 200);
    }
    let patient = world
        .another_instance_with(&[("MESSAGE_PUSH_MAX_AGE_SECONDS", "3600")])
        .await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    world.clock.advance_seconds(3600);
    deliver(&patient, &push).await.is_success();
}

/// The signature covers timestamp and nonce as one row of digits: where one ends, it does not say.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timestamp_has_one_spelling(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let push = world.wechat.push(&plain(debug_demo())).unwrap();
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
            &world.api,
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
    let world = world(state).await;
    let own = Own::start(&world, None, 0).await;
    let push = world.wechat.push(&plain(text("hello"))).unwrap();
    deliver(&own.api, &push).await.is_success();
    // Whoever saw that signature writes something else below it.
    let forged = world
        .wechat
        .push(&plain(event("user_authorization_cancellation", json!({}))))
        .unwrap();
    let forged = PushRequest {
        query: push.query.clone(),
        ..forged
    };
    refusal(&own.api, &forged)
        .await
        .fails(400, "decrypt_failed");
    deliver(&own.api, &push).await.is_success();
    assert_eq!(own.calls(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_message_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
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
        let push = world.wechat.push(&plain(debug_demo())).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&world.api, &push)
            .await
            .fails(400, "invalid_request");
    }
    let push = world.wechat.push(&plain(debug_demo())).unwrap();
    let not_text = world
        .api
        .request("POST", &format!("{PATH}?{}", push.query))
        .body([0xff, 0xfe]);
    not_text.send().await.fails(400, "invalid_request");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_xml_bomb_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
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
        let push = world.wechat.push(&plain(debug_demo())).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&world.api, &push)
            .await
            .fails(400, "invalid_request");
        // And for whoever has a key, before anything is decrypted.
        let push = world.wechat.push(&debug_demo()).unwrap();
        let push = PushRequest {
            body: body.to_owned(),
            ..push
        };
        refusal(&world.api, &push)
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    for order in [debug_demo(), plain(debug_demo())] {
        let push = world.wechat.push(&order).unwrap();
        let body = format!("{}{}", push.body, " ".repeat(65_536));
        refusal(&world.api, &PushRequest { body, ..push })
            .await
            .fails(413, "body_too_large");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_makes_no_sense_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let question = PushOrder {
        verify: true,
        user: "x".into(),
        ..PushOrder::default()
    };
    let question = world.wechat.push(&question).unwrap();
    let without_echo = question.query.split("&echostr").next().unwrap().to_owned();
    refusal(
        &world.api,
        &PushRequest {
            query: without_echo,
            ..question
        },
    )
    .await
    .fails(400, "invalid_request");
    let twice = world.wechat.push(&debug_demo()).unwrap();
    let query = format!("{}&nonce=1", twice.query);
    refusal(&world.api, &PushRequest { query, ..twice })
        .await
        .fails(400, "invalid_request");
    let nothing = PushRequest {
        method: "POST",
        query: String::new(),
        content_type: "",
        body: String::new(),
    };
    refusal(&world.api, &nothing)
        .await
        .fails(400, "decrypt_failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_settings_everything_is_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let nobody = world.another_instance_with(&[("MESSAGE_PUSH", "")]).await;
    for order in orders() {
        refusal(&nobody, &world.wechat.push(&order).unwrap())
            .await
            .fails(400, "decrypt_failed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_are_refused(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        world
            .api
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
