//! Receivers that misbehave, and deliveries that are cut off.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    dynamodb::TABLE,
    webhooks::{Behaviour, Receiver},
};
use local::Poller;
use serde_json::json;
use shared::{runtime::Invoker, webhooks::Event};

use super::{Fixture, receiver};

/// Longer than the queue hides a message.
const UNHIDDEN: Duration = Duration::from_secs(361);

fn answer(text: &str) -> Behaviour {
    Behaviour::Answer(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_answer_but_a_2xx_in_time_is_tried_again() {
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
        let fixture = Fixture::start(&json!([receiver("bad", &bad)])).await;
        let event = fixture.announce("user.created", "a").await;
        bad.set(behaviour.clone());
        let start = Instant::now();
        fixture.work().await;
        assert!(start.elapsed() < Duration::from_secs(5), "{behaviour:?}");
        assert_eq!(bad.ids(), std::slice::from_ref(&event.id), "{behaviour:?}");
        assert!(fixture.app.queue().is_empty(), "{behaviour:?}");
        bad.set(Behaviour::status(200));
        // It may have been left alone for a while.
        fixture.work_after(Duration::from_secs(30)).await;
        assert_eq!(bad.ids(), [event.id.clone(), event.id], "{behaviour:?}");
        assert!(fixture.app.queue().is_empty(), "{behaviour:?}");
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
        let fixture = Fixture::start(&json!([receiver("odd", &odd)])).await;
        fixture.announce("user.created", "a").await;
        fixture.work().await;
        assert_eq!(odd.hooks().len(), 1, "{behaviour:?}");
        assert!(fixture.app.queue().is_empty(), "{behaviour:?}");
    }
}

/// Refuses, and asks for a pause of so many seconds.
fn retry_after(seconds: u32) -> Behaviour {
    answer(&format!(
        "HTTP/1.1 503 Busy\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n"
    ))
}

/// How long the quick one of two receivers waits for so many events.
async fn time_of_the_quick_one(
    behaviour: Behaviour,
    events: usize,
) -> (Fixture, [Receiver; 2], Duration) {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.set(behaviour);
    let receivers = json!([receiver("slow", &slow), receiver("quick", &quick)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_TIMEOUT_MS", "20000")]).await;
    for number in 0..events {
        fixture.announce("user.created", &number.to_string()).await;
    }
    let start = Instant::now();
    let working = tokio::spawn(fixture.another_poller(&fixture.settings()).run());
    quick.wait_for(events).await;
    let took = start.elapsed();
    working.abort();
    drop(working.await);
    (fixture, [slow, quick], took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_hanging_nor_a_slow_receiver_delays_others() {
    let slowly = Behaviour::Late("HTTP/1.1 204 x\r\n\r\n".to_owned(), Duration::from_secs(19));
    for behaviour in [Behaviour::Hang, slowly] {
        // More than all invocations take at once. The slow one has not answered once by then.
        let (_, [slow, quick], took) = time_of_the_quick_one(behaviour.clone(), 200).await;
        assert!(took < Duration::from_secs(19), "{behaviour:?}: {took:?}");
        assert_eq!(quick.hooks().len(), 200);
        // It is not called with more than it can bear.
        assert!(
            slow.hooks().len() < 20,
            "{behaviour:?}: {}",
            slow.hooks().len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_for_a_receiver_that_is_down_leave_the_queue_and_arrive_when_it_is_well() {
    let (down, well) = (Receiver::start().await, Receiver::start().await);
    down.set(Behaviour::status(500));
    let receivers = json!([receiver("down", &down), receiver("well", &well)]);
    let fixture = Fixture::start(&receivers).await;
    for number in 0..60 {
        fixture.announce("user.created", &number.to_string()).await;
    }
    fixture.work().await;
    assert_eq!(well.hooks().len(), 60);
    assert!(fixture.app.queue().is_empty(), "they wait in the queue");
    // It is given up for this time after ten failures.
    let before = down.hooks().len();
    fixture.work_after(Duration::from_mins(1)).await;
    let attempts = down.hooks().len() - before;
    assert!((10..30).contains(&attempts), "{attempts} attempts");
    down.set(Behaviour::status(204));
    fixture.work_after(Duration::from_mins(5)).await;
    let mut ids: Vec<_> = down.hooks().split_off(before + attempts);
    assert_eq!(ids.len(), 60);
    ids.sort_by(|one, other| one.id().cmp(other.id()));
    ids.dedup_by(|one, other| one.id() == other.id());
    assert_eq!(ids.len(), 60, "one came twice");
}

/// As another version could have written it.
async fn put_unreadable_delivery(fixture: &Fixture, receiver: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let id = "0".repeat(32);
    let put = fixture.app.table.client().put_item().table_name(TABLE);
    let put = put
        .item("pk", text(&format!("WEBHOOK#{id}")))
        .item("sk", text("PENDING"))
        .item("id", text(&id))
        .item("gsi1pk", text(&format!("WEBHOOK_PENDING#{receiver}")))
        .item("gsi1sk", text(&format!("1970-01-01T00:00:00.000Z#{id}")));
    put.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_cannot_be_read_holds_up_no_other() {
    let at = Receiver::start().await;
    at.set(Behaviour::status(500));
    let fixture = Fixture::start(&json!([receiver("one", &at)])).await;
    put_unreadable_delivery(&fixture, "one").await;
    let event = fixture.announce("user.created", "a").await;
    fixture.work().await;
    at.set(Behaviour::status(204));
    fixture.work_after(Duration::from_mins(5)).await;
    assert_eq!(at.ids().last(), Some(&event.id));
    let waiting = fixture.app.rows().await.into_keys();
    let waiting = waiting.filter(|(_, sk)| sk == "PENDING").count();
    assert_eq!(waiting, 1, "only what can't be read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_receiver_that_stays_down_all_is_given_up_in_the_end() {
    let down = Receiver::start().await;
    down.set(Behaviour::Answer(String::new()));
    let receivers = json!([receiver("down", &down)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_RETRY_SECONDS", "600")]).await;
    for number in 0..40 {
        fixture.announce("user.created", &number.to_string()).await;
    }
    fixture.work().await;
    fixture.work_after(Duration::from_mins(11)).await;
    assert_eq!(fixture.given_up().await.len(), 40);
    let attempts = down.hooks().len();
    assert!(attempts < 30, "{attempts} attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_not_lost_while_the_queue_is_down() {
    let one = Receiver::start().await;
    let fixture = Fixture::start(&json!([receiver("one", &one)])).await;
    let nowhere = [("WEBHOOK_QUEUE_URL", "http://127.0.0.1:1/0/hooks")];
    let outbox = fixture.app.instance_with(&nowhere).webhook_outbox();
    let at = jiff::Timestamp::UNIX_EPOCH;
    let start = Instant::now();
    for source in ["a", "b", "c", "d", "e"] {
        let event = Event::new("user.created", &[source], at, &json!({"userId": source}));
        outbox.announce(vec![event]).await.unwrap();
    }
    // Only the first one waits for the queue.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    assert!(fixture.app.queue().is_empty());
    fixture.work().await;
    assert_eq!(one.hooks().len(), 5);
    fixture.work_after(Duration::from_mins(10)).await;
    assert_eq!(one.hooks().len(), 5, "one came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_during_a_retry_loses_nothing() {
    let one = Receiver::start().await;
    one.set(Behaviour::status(500));
    let receivers = json!([receiver("one", &one)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_TIMEOUT_MS", "20000")]).await;
    let event = fixture.announce("user.created", "a").await;
    fixture.work().await;
    one.set(Behaviour::Hang);
    fixture.app.clock.advance_seconds(10);
    let poller = fixture.another_poller(&fixture.settings());
    let dying = tokio::spawn(async move { poller.run_schedule().await });
    one.wait_for(2).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    one.set(Behaviour::status(204));
    // Nobody makes the same attempt again; the next one comes at its time.
    fixture.work().await;
    assert_eq!(one.hooks().len(), 2);
    fixture.work_after(Duration::from_mins(3)).await;
    assert_eq!(one.ids(), [event.id.clone(), event.id.clone(), event.id]);
    fixture.work_after(Duration::from_hours(12)).await;
    assert_eq!(one.hooks().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_is_waited_for_with_all_events_of_the_receiver() {
    let busy = Receiver::start().await;
    busy.set(retry_after(600));
    let fixture = Fixture::start(&json!([receiver("busy", &busy)])).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    busy.set(Behaviour::status(204));
    fixture.announce("user.created", "b").await;
    fixture.work().await;
    fixture.work_after(Duration::from_secs(590)).await;
    assert_eq!(busy.hooks().len(), 1);
    fixture.work_after(Duration::from_secs(11)).await;
    assert_eq!(busy.hooks().len(), 3);
    assert!(fixture.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_ends_no_delivery_without_an_attempt() {
    let busy = Receiver::start().await;
    busy.set(retry_after(1800));
    let receivers = json!([receiver("busy", &busy)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_RETRY_SECONDS", "600")]).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    fixture.announce("user.created", "b").await;
    fixture.work().await;
    busy.set(Behaviour::status(204));
    fixture.work_after(Duration::from_secs(1790)).await;
    assert_eq!((busy.hooks().len(), fixture.given_up().await.len()), (1, 0));
    fixture.work_after(Duration::from_secs(11)).await;
    assert_eq!((busy.hooks().len(), fixture.given_up().await.len()), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_was_asked_for_by_mistake_ends_after_an_hour() {
    let busy = Receiver::start().await;
    busy.set(retry_after(36_000));
    let fixture = Fixture::start(&json!([receiver("busy", &busy)])).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    let later = fixture.announce("user.created", "b").await;
    fixture.work().await;
    busy.set(Behaviour::status(204));
    fixture.work_after(Duration::from_secs(3590)).await;
    assert_eq!(busy.hooks().len(), 1);
    fixture.work_after(Duration::from_secs(11)).await;
    assert_eq!(busy.ids()[1..], [later.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_receiver_that_always_asks_for_a_pause_all_is_given_up_in_the_end() {
    let busy = Receiver::start().await;
    busy.set(retry_after(3600));
    let receivers = json!([receiver("busy", &busy)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_RETRY_SECONDS", "600")]).await;
    for number in 0..40 {
        fixture.announce("user.created", &number.to_string()).await;
    }
    fixture.work().await;
    let mut hours = 0;
    while fixture.given_up().await.len() < 40 {
        assert!(hours < 4, "{} given up", fixture.given_up().await.len());
        fixture.work_after(Duration::from_hours(1)).await;
        hours += 1;
    }
    let attempts = busy.hooks().len();
    assert!(attempts < 40, "{attempts} attempts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_invocation_of_the_schedule_is_told_holds_for_the_next_one() {
    let busy = Receiver::start().await;
    busy.set(Behaviour::status(500));
    let fixture = Fixture::start(&json!([receiver("busy", &busy)])).await;
    for source in ["a", "b", "c"] {
        fixture.announce("user.created", source).await;
    }
    fixture.work().await;
    busy.set(retry_after(300));
    fixture.work_after(Duration::from_secs(10)).await;
    let told = busy.hooks().len();
    assert!((4..=6).contains(&told), "{told}");
    // An instance that was not told calls once more, which does not prolong the pause.
    fixture.announce("user.created", "d").await;
    let poller = fixture.another_poller(&fixture.settings());
    fixture.app.clock.advance_seconds(60);
    busy.set(Behaviour::status(500));
    while poller.run_once().await > 0 {}
    assert_eq!(
        busy.hooks().len(),
        told + 1,
        "an instance that was not told"
    );
    busy.set(Behaviour::status(204));
    fixture.work_after(Duration::from_secs(200)).await;
    assert_eq!(busy.hooks().len(), told + 1);
    fixture.work_after(Duration::from_secs(100)).await;
    assert_eq!(busy.hooks().len(), told + 5, "the pause is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_with_a_limit_is_given_what_it_takes() {
    const LIMIT: usize = 20;
    let limited = Receiver::start().await;
    limited.set(Behaviour::PerSecond(LIMIT));
    let fixture = Fixture::start(&json!([receiver("limited", &limited)])).await;
    for number in 0..80 {
        fixture.announce("user.created", &number.to_string()).await;
    }
    while fixture.poller.run_once().await > 0 {}
    let delivered = |hooks: &[e2e::webhooks::Hook]| {
        let taken = hooks.iter().filter(|hook| !hook.is_refused);
        let ids: std::collections::BTreeSet<_> = taken.map(|hook| hook.id().to_owned()).collect();
        ids.len()
    };
    let by_the_queue = delivered(&limited.hooks());
    assert!(by_the_queue < 60, "{by_the_queue}: the limit was not met");
    // One invocation waits whenever the receiver asks for it, and goes on: what is left then was refused
    // by the queue a moment ago, and is not due.
    fixture.poller.run_schedule().await;
    let hooks = limited.hooks();
    let found = delivered(&hooks);
    assert!(found >= 70, "{found} of 80 after one invocation");
    let refused = hooks.iter().filter(|hook| hook.is_refused).count();
    assert!(refused < 60, "{refused} refused");
    fixture.work_after(Duration::from_secs(10)).await;
    assert_eq!(delivered(&limited.hooks()), 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_in_the_middle_loses_nothing() {
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    one.set(Behaviour::Hang);
    let receivers = json!([receiver("one", &one), receiver("other", &other)]);
    let fixture = Fixture::start_with(&receivers, &[("WEBHOOK_TIMEOUT_MS", "20000")]).await;
    let event = fixture.announce("user.created", "a").await;
    let queue = fixture.instance.webhook_queue().unwrap();
    // The other has it, and nobody has written that down yet.
    let invoker = Invoker::new(webhooks::handler(&fixture.instance));
    let dying = tokio::spawn(Poller::webhooks(queue, invoker).run());
    one.wait_for(1).await;
    other.wait_for(1).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    one.set(Behaviour::status(204));
    fixture.work_after(UNHIDDEN).await;
    for receiver in [&one, &other] {
        let ids = receiver.ids();
        assert!(ids.len() >= 2 || receiver.address == other.address);
        assert!(ids.iter().all(|id| *id == event.id), "{ids:?}");
    }
    assert!(fixture.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_for_a_receiver_that_is_not_configured_is_listed_after_a_while() {
    let left = Receiver::start().await;
    let fixture = Fixture::start(&json!([receiver("gone", &left)])).await;
    fixture.announce("user.created", "a").await;
    fixture.poller.run_once().await;
    let changed = json!([receiver("left", &left)]).to_string();
    let poller = fixture.another_poller(&[("WEBHOOKS", &changed)]);
    // A version with another configuration may know it.
    poller.run_once().await;
    assert_eq!(fixture.app.queue().len(), 1);
    fixture.app.clock.advance_seconds(16 * 60);
    poller.run_once().await;
    assert!(fixture.app.queue().is_empty() && left.hooks().is_empty());
    let given_up = fixture.given_up().await;
    assert_eq!(given_up[0].reason, "not configured");
    assert_eq!(given_up[0].receiver, "gone");
}
