//! Receivers that misbehave, and deliveries that are cut off.

use std::time::{Duration, Instant};

use e2e::webhooks::{Behaviour, Receiver};
use local::Poller;
use serde_json::json;
use shared::runtime::Invoker;

use super::{World, receiver};

/// Longer than the queue hides a message by itself.
const UNHIDDEN: Duration = Duration::from_secs(181);

fn answer(text: &str) -> Behaviour {
    Behaviour::Answer(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_no_2xx_in_time_is_tried_again() {
    let other = Receiver::start().await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        other.address
    );
    let slowly = Duration::from_millis(20);
    for behaviour in [
        Behaviour::status(500),
        Behaviour::status(404),
        Behaviour::status(301),
        answer(&redirect),
        answer(""),
        answer("garbage\r\n\r\n"),
        answer("HTTP/1.1 200"),
        Behaviour::Hang,
        Behaviour::Drip(
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(200)),
            slowly,
        ),
    ] {
        let bad = Receiver::start().await;
        let world = World::start(&json!([receiver("bad", &bad)])).await;
        let event = world.announce("user.created", "a").await;
        bad.set(behaviour.clone());
        let start = Instant::now();
        world.work().await;
        assert!(start.elapsed() < Duration::from_secs(5), "{behaviour:?}");
        assert_eq!(bad.ids(), std::slice::from_ref(&event.id), "{behaviour:?}");
        assert_eq!(world.app.queue().len(), 1, "{behaviour:?}");
        bad.set(Behaviour::status(200));
        // It may have been left alone for a while.
        world.work_after(Duration::from_secs(30)).await;
        assert_eq!(bad.ids(), [event.id.clone(), event.id], "{behaviour:?}");
        assert!(world.app.queue().is_empty(), "{behaviour:?}");
    }
    assert!(other.hooks().is_empty(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_success_is_enough_whatever_the_body_does() {
    let slowly = Duration::from_millis(50);
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    for behaviour in [
        answer(&format!("{head}short")),
        answer("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nnonsense"),
        Behaviour::Drip(
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000)),
            Duration::ZERO,
        ),
        Behaviour::Drip(
            format!("HTTP/1.1 204 x\r\n\r\n{}", "x".repeat(100)),
            slowly / 10,
        ),
    ] {
        let odd = Receiver::start().await;
        odd.set(behaviour.clone());
        let world = World::start(&json!([receiver("odd", &odd)])).await;
        world.announce("user.created", "a").await;
        world.work().await;
        assert_eq!(odd.hooks().len(), 1, "{behaviour:?}");
        assert!(world.app.queue().is_empty(), "{behaviour:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_delays_no_other() {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.set(Behaviour::Hang);
    let receivers = json!([receiver("slow", &slow), receiver("quick", &quick)]);
    let world = World::start_with(&receivers, &[("WEBHOOK_TIMEOUT_MS", "5000")]).await;
    for source in ["a", "b", "c"] {
        world.announce("user.created", source).await;
    }
    let start = Instant::now();
    let working = world.work();
    let arriving = async {
        quick.wait_for(3).await;
        start.elapsed()
    };
    let ((), arrived) = futures_util::join!(working, arriving);
    assert!(arrived < Duration::from_secs(4), "{arrived:?}");
    assert_eq!(slow.hooks().len(), 3);
    // From now on it is left alone, and its deliveries wait in the queue.
    let start = Instant::now();
    world.announce("user.created", "d").await;
    world.work().await;
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!((slow.hooks().len(), quick.hooks().len()), (3, 4));
    slow.set(Behaviour::status(204));
    world.work_after(Duration::from_mins(1)).await;
    assert_eq!(slow.hooks().len(), 7);
    assert!(world.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_is_waited_for() {
    let busy = Receiver::start().await;
    busy.set(answer(
        "HTTP/1.1 429 Too Many\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n",
    ));
    let world = World::start(&json!([receiver("busy", &busy)])).await;
    world.announce("user.created", "a").await;
    world.work().await;
    busy.set(Behaviour::status(204));
    world.work_after(Duration::from_secs(590)).await;
    assert_eq!(busy.hooks().len(), 1);
    world.work_after(Duration::from_secs(11)).await;
    assert_eq!(busy.hooks().len(), 2);
    assert!(world.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_in_the_middle_loses_nothing() {
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    one.set(Behaviour::Hang);
    let receivers = json!([receiver("one", &one), receiver("other", &other)]);
    let world = World::start_with(&receivers, &[("WEBHOOK_TIMEOUT_MS", "20000")]).await;
    let event = world.announce("user.created", "a").await;
    let queue = world.instance.webhook_queue().unwrap();
    // The other has it, and nobody has written that down yet.
    let invoker = Invoker::new(webhooks::handler(&world.instance));
    let dying = tokio::spawn(Poller::new(queue, invoker).run());
    one.wait_for(1).await;
    other.wait_for(1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    one.set(Behaviour::status(204));
    world.work_after(UNHIDDEN).await;
    for receiver in [&one, &other] {
        let ids = receiver.ids();
        assert!(ids.len() >= 2 || receiver.address == other.address);
        assert!(ids.iter().all(|id| *id == event.id), "{ids:?}");
    }
    assert!(world.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_no_longer_configured_gets_nothing() {
    let (gone, left) = (Receiver::start().await, Receiver::start().await);
    gone.set(Behaviour::status(500));
    let world = World::start(&json!([receiver("gone", &gone)])).await;
    world.announce("user.created", "a").await;
    world.work().await;
    let changed = json!([receiver("left", &left)]).to_string();
    let instance = world.app.instance_with(&[("WEBHOOKS", &changed)]);
    let invoker = Invoker::new(webhooks::handler(&instance));
    let poller = Poller::new(instance.webhook_queue().unwrap(), invoker);
    world.app.clock.advance_seconds(60);
    while poller.run_once().await > 0 {}
    assert_eq!((gone.hooks().len(), left.hooks().len()), (1, 0));
    assert!(world.app.queue().is_empty());
}
