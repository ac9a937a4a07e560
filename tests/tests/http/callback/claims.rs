//! A message is handled once, whatever WeChat and the network do.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::{
    wire_proxy,
    world::{
        SharedState::{self, InProcess, Redis},
        World,
    },
};
use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::pushes::{Own, debug_demo, deliver, event, every_way, plain, refusal, text, world};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_deliveries_of_one_message_are_handled_once(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    for (way, order) in every_way(&text("hello")) {
        let own = Own::start(&world, None, 0).await;
        let push = world.wechat.push(&order).unwrap();
        let answers = join_all((0..20).map(|_| deliver(&own.api, &push))).await;
        answers.iter().for_each(super::pushes::Told::is_success);
        deliver(&own.api, &push).await.is_success();
        assert_eq!(own.calls(), 1, "{way}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_delivery_gets_the_same_reply(#[values(InProcess, Redis)] state: SharedState) {
    let world = world(state).await;
    let own = Own::start(&world, Some(json!({"demo_resp": "good luck"})), 0).await;
    let push = world.wechat.push(&plain(debug_demo())).unwrap();
    let answers = join_all((0..5).map(|_| deliver(&own.api, &push))).await;
    let bodies: BTreeSet<_> = answers.iter().map(|told| told.body.as_str()).collect();
    assert_eq!(
        (bodies, own.calls()),
        (BTreeSet::from([r#"{"demo_resp":"good luck"}"#]), 1)
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_delivery_under_a_new_signature_is_the_same_message(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 0).await;
    // Messages are known by their id, events by all that they say.
    let mut message = text("hello");
    message
        .fields
        .insert("MsgId".into(), json!(23_456_789_012_345_678_u64));
    let mut event = debug_demo();
    event
        .fields
        .insert("CreateTime".into(), json!(1_795_420_800));
    for (calls, order) in [(1, message), (2, event)] {
        for _ in 0..3 {
            deliver(&own.api, &world.wechat.push(&order).unwrap())
                .await
                .is_success();
            world.clock.advance_seconds(5);
        }
        assert_eq!(own.calls(), calls);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_in_the_same_second_are_two_events(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 0).await;
    for user in ["alice", "bob"] {
        let mut order = event("user_authorization_revoke", json!({"RevokeInfo": "8"}));
        order.user = user.into();
        deliver(&own.api, &world.wechat.push(&order).unwrap())
            .await
            .is_success();
    }
    assert_eq!(own.calls(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_failed_is_handled_when_it_comes_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 2).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    for _ in 0..2 {
        refusal(&own.api, &push).await.fails(503, "unavailable");
    }
    deliver(&own.api, &push).await.is_success();
    deliver(&own.api, &push).await.is_success();
    assert_eq!(own.calls(), 3);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_wait_for_a_failure_handle_it_themselves(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 1).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    let answers = join_all((0..6).map(|_| deliver(&own.api, &push))).await;
    let failed = answers.iter().filter(|told| told.status == 503).count();
    let good = answers.iter().filter(|told| told.body == "success").count();
    assert_eq!((failed, good, own.calls()), (1, 5, 2));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_after_its_timestamp_is_refused_and_not_handled_again(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let world = world(state).await;
    let own = Own::start(&world, None, 0).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    deliver(&own.api, &push).await.is_success();
    world.clock.advance_seconds(300);
    deliver(&own.api, &push).await.is_success();
    world.clock.advance_seconds(1);
    refusal(&own.api, &push).await.fails(400, "decrypt_failed");
    assert_eq!(own.calls(), 1);
}

/// WeChat hangs up after 5 s; it has to have heard before that it is to come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_too_long_is_a_504_in_time() {
    let world = world(SharedState::InProcess).await;
    let (own, permits) = Own::waiting(&world).await;
    let push = world.wechat.push(&debug_demo()).unwrap();
    let start = Instant::now();
    refusal(&own.api, &push)
        .await
        .fails(504, "upstream_timeout");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    // By the time it comes again, nobody is held to be at it any more.
    world.clock.advance_seconds(6);
    permits.add_permits(1);
    deliver(&own.api, &push).await.is_success();
    assert_eq!(own.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_does_not_take_over_because_redis_goes_away() {
    let world = World::with(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let ((one, permits), other) = (
        Own::waiting(&world).await,
        Own::start(&world, None, 0).await,
    );
    let push = world.wechat.push(&debug_demo()).unwrap();
    let redis = world.proxies().redis.as_ref().unwrap();
    let (first, second, ()) = futures_util::join!(
        deliver(&one.api, &push),
        async {
            one.is_called().await;
            redis.take_traffic();
            deliver(&other.api, &push).await
        },
        async {
            one.is_called().await;
            let looked = async {
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
            e2e::within_patience("a look at who is at it", looked).await;
            redis.set(wire_proxy::Fault::Refuse).await;
            redis.reset();
            permits.add_permits(1);
        }
    );
    first.is_success();
    // It is told to come again, because what happened can't be known.
    assert_eq!(
        (second.status, one.calls(), other.calls()),
        (503, 1, 0),
        "{second:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_what_was_handled() {
    let world = world(SharedState::Redis).await;
    let (one, other) = (
        Own::start(&world, None, 0).await,
        Own::start(&world, None, 0).await,
    );
    let push = world.wechat.push(&debug_demo()).unwrap();
    let answers =
        join_all((0..20).map(|at| deliver(if at % 2 == 0 { &one.api } else { &other.api }, &push)))
            .await;
    answers.iter().for_each(super::pushes::Told::is_success);
    assert_eq!(one.calls() + other.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_message_is_still_handled_once_by_an_instance() {
    let world = World::with(SharedState::Redis)
        .own_redis()
        .proxied()
        .start()
        .await;
    let own = Own::start(&world, None, 0).await;
    let redis = world.proxies().redis.as_ref().unwrap();
    redis.set(wire_proxy::Fault::Refuse).await;
    redis.reset();
    let push = world.wechat.push(&debug_demo()).unwrap();
    for _ in 0..3 {
        deliver(&own.api, &push).await.is_success();
    }
    assert_eq!(own.calls(), 1);
}
