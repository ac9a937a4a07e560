//! Questions and messages that come from WeChat, and replies to them.

use callback::{PushSecrets, Stamp, push_key};
use e2e::{
    settings::{APP_ID, OTHER_APP_ID, push_configs},
    world::{
        SharedState::{self, InProcess, Redis},
        capture,
    },
};
use rstest::rstest;
use serde_json::{Value, json};
use wechat_simulator::{PushFormat, PushMode, PushOrder};

use super::pushes::{Own, debug_demo, deliver, event, every_way, plain, text, world, xml};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wechat_gets_its_echo_and_nothing_else(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    for app_id in [APP_ID, OTHER_APP_ID] {
        let order = PushOrder {
            verify: true,
            user: "x".into(),
            app_id: Some(app_id.into()),
            ..PushOrder::default()
        };
        let question = world.wechat.push(&order).unwrap();
        let told = deliver(&world.api, &question).await;
        let echo = question.query.rsplit_once("echostr=").unwrap().1;
        assert_eq!((told.status, told.body.as_str()), (200, echo), "{app_id}");
        assert_eq!(told.content_type, "text/plain; charset=utf-8");
        // As often as it likes.
        assert_eq!(deliver(&world.api, &question).await, told);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_taken_in_every_mode_and_form(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    for order in [
        debug_demo(),
        text("你好 ]]> <b>&amp;</b>"),
        event("wxa_media_check", json!({"trace_id": "t"})),
    ] {
        for (way, order) in every_way(&order) {
            // Another second, another event.
            world.clock.advance_seconds(1);
            let own = Own::start(&world, None, 0).await;
            let told = deliver(&own.api, &world.wechat.push(&order).unwrap()).await;
            assert_eq!(
                (told.status, told.body.as_str(), own.calls()),
                (200, "success", 1),
                "{way}"
            );
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_kind_that_nobody_knows_is_taken(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let fields = json!({"list": [{"a": 1}, {"a": 2}], "deep": {"er": {"still": true}}});
    for (_, order) in every_way(&event("an_event_of_tomorrow", fields)) {
        deliver(&world.api, &world.wechat.push(&order).unwrap())
            .await
            .is_success();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mini_program_without_a_key_is_answered_in_the_compatible_mode(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    // Its console has a key that the backend was not told.
    let wechat = super::pushes::other_wechat(&world, |config| {
        config.encoding_aes_key = Some("k".repeat(43))
    });
    let order = PushOrder {
        mode: Some(PushMode::Compatible),
        ..plain(debug_demo())
    };
    let order = PushOrder {
        mode: Some(PushMode::Compatible),
        ..order
    };
    deliver(&world.api, &wechat.push(&order).unwrap())
        .await
        .is_success();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_comes_in_the_form_of_the_message(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let own = Own::start(&world, Some(json!({"demo_resp": "good <luck>"})), 0).await;
    let told = deliver(&own.api, &world.wechat.push(&plain(debug_demo())).unwrap()).await;
    let expected = (200, "application/json", r#"{"demo_resp":"good <luck>"}"#);
    assert_eq!(
        (told.status, told.content_type.as_str(), told.body.as_str()),
        expected
    );
    let told = deliver(
        &own.api,
        &world.wechat.push(&xml(plain(debug_demo()))).unwrap(),
    )
    .await;
    let expected = (
        200,
        "text/xml",
        "<xml><demo_resp><![CDATA[good <luck>]]></demo_resp></xml>",
    );
    assert_eq!(
        (told.status, told.content_type.as_str(), told.body.as_str()),
        expected
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_to_an_encrypted_message_is_encrypted_and_signed(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, Some(json!({"demo_resp": "good luck"})), 0).await;
    let [config, _] = push_configs();
    let key = push_key(config.encoding_aes_key.as_deref().unwrap());
    let wechat = PushSecrets::new(config.token.as_str().into(), key);
    for format in [PushFormat::Json, PushFormat::Xml] {
        // In XML all is text, so it is another event by what it says.
        let order = PushOrder {
            format,
            ..debug_demo()
        };
        let told = deliver(&own.api, &world.wechat.push(&order).unwrap()).await;
        let (_, fields) = callback::push::Format::read(&told.body).unwrap();
        let field = |name: &str| match &fields[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (timestamp, nonce) = (field("TimeStamp"), field("Nonce"));
        assert_eq!(timestamp, "1795420800", "the world's clock");
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
            (told.content_type.as_str(), opened.message.as_str()),
            (content_type, message)
        );
        assert_eq!(opened.receiver, APP_ID);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_is_one_line_without_what_it_says(
    #[values(InProcess, Redis)] state: SharedState,
) {
    capture();
    let world = world(state).await;
    let push = world.wechat.push(&text("a-word-of-alice-7Yq2")).unwrap();
    let (status, headers, _) = world
        .api
        .request("POST", &format!("{}?{}", super::pushes::PATH, push.query))
        .body(push.body.as_bytes())
        .send_raw()
        .await;
    assert_eq!(status, 200);
    let id = headers["x-request-id"].to_str().unwrap();
    let log = e2e::world::captured();
    let mut lines = log.json_where("message", &"message push".into());
    lines.retain(|line| line["request_id"] == id);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["app_id"]),
        (&json!("text"), &json!(APP_ID))
    );
    let open_id = world.wechat.open_id("alice", None).unwrap();
    log.assert_without_secrets([
        ("a message", "a-word-of-alice-7Yq2"),
        ("an openid", open_id.as_str()),
    ]);
}
