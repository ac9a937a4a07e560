//! A message is handled once, whatever WeChat and the network do.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::{
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp,
    },
    wire_proxy,
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::pushes::{
    CustomHandler, debug_demo, deliver, event, every_way, plain, plain_request, refusal, text,
};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_deliveries_of_one_message_are_handled_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for (way, order) in every_way(&text("hello")) {
        let handler = CustomHandler::start(&app, None, 0).await;
        let push = app.wechat.push(&order).unwrap();
        let answers = join_all((0..20).map(|_| deliver(&handler.api, &push))).await;
        answers
            .iter()
            .for_each(super::pushes::CallbackResponse::assert_success);
        deliver(&handler.api, &push).await.assert_success();
        assert_eq!(handler.calls(), 1, "{way}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_delivery_gets_the_same_reply(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, Some(json!({"demo_resp": "good luck"})), 0).await;
    let push = app.wechat.push(&plain(debug_demo())).unwrap();
    let answers = join_all((0..5).map(|_| deliver(&handler.api, &push))).await;
    let bodies: BTreeSet<_> = answers
        .iter()
        .map(|response| response.body.as_str())
        .collect();
    assert_eq!(
        (bodies, handler.calls()),
        (BTreeSet::from([r#"{"demo_resp":"good luck"}"#]), 1)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_delivery_under_a_new_signature_is_the_same_message(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    // Messages are identified by sender, time and id, events by their content.
    let mut message = text("hello");
    message
        .fields
        .insert("CreateTime".into(), json!(1_795_420_800));
    message
        .fields
        .insert("MsgId".into(), json!(23_456_789_012_345_678_u64));
    let mut event = debug_demo();
    event
        .fields
        .insert("CreateTime".into(), json!(1_795_420_800));
    for (calls, order) in [(1, message), (2, event)] {
        for _ in 0..3 {
            deliver(&handler.api, &app.wechat.push(&order).unwrap())
                .await
                .assert_success();
            app.clock.advance_seconds(5);
        }
        assert_eq!(handler.calls(), calls);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_two_users_in_the_same_second_are_distinct(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    for user in ["alice", "bob"] {
        let mut order = event("user_authorization_revoke", json!({"RevokeInfo": "8"}));
        order.user = user.into();
        deliver(&handler.api, &app.wechat.push(&order).unwrap())
            .await
            .assert_success();
    }
    assert_eq!(handler.calls(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_two_people_with_one_id_are_both_handled(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    for (one, other) in [
        ("4242", "4242"),
        ("0", "0"),
        ("10000000000000000000000", "10000000000000000000001"),
    ] {
        let handler = CustomHandler::start(&app, None, 0).await;
        for (time, (sender, id)) in [("oPersonA", one), ("oPersonB", other)].iter().enumerate() {
            let json = format!(
                r#"{{"ToUserName":"gh_1","FromUserName":"{sender}","CreateTime":{time},"MsgType":"text","Content":"c","MsgId":{id}}}"#
            );
            for _ in 0..3 {
                // Under a new signature.
                deliver(&handler.api, &plain_request(&app, &json))
                    .await
                    .assert_success();
            }
        }
        assert_eq!(handler.calls(), 2, "{one}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_message_is_handled_when_redelivered(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 2).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    for _ in 0..2 {
        refusal(&handler.api, &push).await.fails(503, "unavailable");
    }
    deliver(&handler.api, &push).await.assert_success();
    deliver(&handler.api, &push).await.assert_success();
    assert_eq!(handler.calls(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_delivery_takes_over_after_a_failure(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 1).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    let answers = join_all((0..6).map(|_| deliver(&handler.api, &push))).await;
    let failed = answers
        .iter()
        .filter(|response| response.status == 503)
        .count();
    let good = answers
        .iter()
        .filter(|response| response.body == "success")
        .count();
    assert_eq!((failed, good, handler.calls()), (1, 5, 2));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_with_an_expired_timestamp_is_rejected(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let handler = CustomHandler::start(&app, None, 0).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    deliver(&handler.api, &push).await.assert_success();
    app.clock.advance_seconds(300);
    deliver(&handler.api, &push).await.assert_success();
    app.clock.advance_seconds(1);
    refusal(&handler.api, &push)
        .await
        .fails(400, "decrypt_failed");
    assert_eq!(handler.calls(), 1);
}

/// WeChat hangs up after 5 s, so the answer that makes it retry must come sooner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_too_long_is_a_504_in_time() {
    let app = TestApp::start(SharedState::InProcess).await;
    let (handler, permits) = CustomHandler::waiting(&app).await;
    let push = app.wechat.push(&debug_demo()).unwrap();
    let start = Instant::now();
    refusal(&handler.api, &push)
        .await
        .fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    // Its claim was released, so the next delivery is handled at once.
    permits.add_permits(1);
    deliver(&handler.api, &push).await.assert_success();
    assert_eq!(handler.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_delivery_does_not_take_over_when_redis_fails() {
    let app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let ((one, permits), other) = (
        CustomHandler::waiting(&app).await,
        CustomHandler::start(&app, None, 0).await,
    );
    let push = app.wechat.push(&debug_demo()).unwrap();
    let redis = app.proxies().redis.as_ref().unwrap();
    let (first, second, ()) = futures_util::join!(
        deliver(&one.api, &push),
        async {
            one.wait_for_call().await;
            redis.take_traffic();
            deliver(&other.api, &push).await
        },
        async {
            one.wait_for_call().await;
            let polled = async {
                while redis
                    .take_traffic()
                    .commands
                    .iter()
                    .filter(|command| *command == "GET")
                    .count()
                    == 0
                {
                    tokio::task::yield_now().await;
                }
            };
            e2e::within_patience("a poll of the claim", polled).await;
            redis.set(wire_proxy::Fault::Refuse).await;
            redis.reset();
            permits.add_permits(1);
        }
    );
    first.assert_success();
    // WeChat must retry, because the outcome is unknown.
    assert_eq!(
        (second.status, one.calls(), other.calls()),
        (503, 1, 0),
        "{second:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_handled_messages() {
    let app = TestApp::start(SharedState::Redis).await;
    let (one, other) = (
        CustomHandler::start(&app, None, 0).await,
        CustomHandler::start(&app, None, 0).await,
    );
    let push = app.wechat.push(&debug_demo()).unwrap();
    let answers =
        join_all((0..20).map(|at| deliver(if at % 2 == 0 { &one.api } else { &other.api }, &push)))
            .await;
    answers
        .iter()
        .for_each(super::pushes::CallbackResponse::assert_success);
    assert_eq!(one.calls() + other.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_message_is_still_handled_once_by_an_instance() {
    let app = TestApp::builder(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let handler = CustomHandler::start(&app, None, 0).await;
    let redis = app.proxies().redis.as_ref().unwrap();
    redis.set(wire_proxy::Fault::Refuse).await;
    redis.reset();
    let push = app.wechat.push(&debug_demo()).unwrap();
    for _ in 0..3 {
        deliver(&handler.api, &push).await.assert_success();
    }
    assert_eq!(handler.calls(), 1);
}
