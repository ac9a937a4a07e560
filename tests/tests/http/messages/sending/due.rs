//! Several processes at once, and what the schedule finds.

use std::time::Duration;

use e2e::{dynamodb::TABLE, test_app::capture};
use futures_util::future::join_all;
use local::Poller;
use serde_json::{Value, json};
use shared::messages::{ClaimOutcome, Ending, MessageStatus, QueueEntry};
use wechat_simulator::SubscriptionAnswer;

use super::{Fixture, SEND, TEMPLATE, one};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_many_have_at_once_is_sent_by_one_of_them() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    let entry = QueueEntry::text_of(&message);
    for _ in 0..9 {
        fixture.put(&entry).await;
    }
    let others: Vec<_> = (0..3).map(|_| fixture.another_poller(&[])).collect();
    let (_, (), _) = tokio::join!(
        fixture.poller.run_once(),
        fixture.poller.run_schedule(),
        join_all(others.iter().map(Poller::run_schedule)),
    );
    fixture.work().await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    assert_eq!(fixture.events().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_find_no_consent_any_more_tell_nobody() {
    for attempt in 0..10 {
        let fixture = Fixture::start().await;
        fixture.agree("request-1").await;
        let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
        let others: Vec<_> = (0..4).map(|_| fixture.another_poller(&[])).collect();
        let others = join_all(others.iter().map(Poller::run_schedule));
        let (_, ()) = tokio::join!(others, fixture.work());
        fixture.assert_state(&message, "sent", None).await;
        let events = fixture.events().await;
        let kinds: Vec<_> = events.iter().map(|(_, kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["message.sent"], "attempt {attempt}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_messages_do_not_use_one_consent() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    // The count alone would let both through.
    for _ in 0..2 {
        let answer = SubscriptionAnswer::Accept;
        let wechat = &fixture.app.wechat;
        wechat.subscribe("alice", TEMPLATE, answer, None).unwrap();
    }
    let mut messages = Vec::new();
    for key in ["order-7:shipped", "order-8:shipped"] {
        messages.push(fixture.order(&fixture.subscribe(key)).await);
    }
    fixture.work().await;
    let mut states = Vec::new();
    for message in &messages {
        states.push(fixture.state(message).await.0);
    }
    states.sort_unstable();
    assert_eq!(states, ["refused", "sent"]);
    assert_eq!(fixture.delivered(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_sends_what_no_queue_brought() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let message = fixture.record(&fixture.subscribe("order-7:shipped")).await;
    fixture.poller.run_schedule().await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!(fixture.delivered(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_can_not_be_read_is_named_and_fails_no_invocation() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let broken = fixture.record(&fixture.subscribe("order-7:shipped")).await;
    let message = fixture.record(&fixture.subscribe("order-8:shipped")).await;
    let (user, id) = (broken.user.to_string(), broken.id.to_string());
    let key = (format!("USER#{user}"), format!("MESSAGE#{id}"));
    let mut row = fixture.app.table.item(&key.0, &key.1).await.unwrap();
    row.insert("status".into(), shared::dynamo::string("later"));
    let put = fixture.app.table.client().put_item().table_name(TABLE);
    put.set_item(Some(row)).send().await.unwrap();
    fixture.app.clock.advance_seconds(1);
    let answer = gateway::hand_over(&fixture.invoker, &json!({"task": "send-messages"})).await;
    let answer = answer.unwrap();
    assert_eq!(
        (
            &answer["sent"],
            &answer["unreadable"],
            &answer["not_stored"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    fixture.assert_state(&message, "sent", None).await;
    let logs = log.logs();
    let lines = logs.json_where("message", &"a message that is due can't be read".into());
    let is_it = |line: &&Value| line["user_id"] == user && line["message_id"] == id;
    assert_eq!(lines.iter().filter(is_it).count(), 1, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_without_an_end_becomes_unconfirmed() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    // A process that dies while WeChat has the message.
    let claimed = fixture.instance.messages().claim(&message).await.unwrap();
    assert!(matches!(claimed, ClaimOutcome::Claimed(_)));
    fixture.work().await;
    fixture.work_after(Duration::from_secs(119)).await;
    fixture.assert_state(&message, "sending", None).await;
    fixture.work_after(Duration::from_secs(2)).await;
    let reason = Some("interrupted");
    fixture.assert_state(&message, "unconfirmed", reason).await;
    assert_eq!(fixture.delivered(), 0);
    let failed = one("message.failed", "interrupted");
    assert_eq!(fixture.announced().await, failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_not_told_is_told_once_more() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    let store = fixture.instance.messages();
    let ClaimOutcome::Claimed(claimed) = store.claim(&message).await.unwrap() else {
        panic!("not claimed")
    };
    // A process that dies after it wrote down that WeChat took the message.
    let sent = Ending::new(MessageStatus::Sent, None);
    let untold = store.settle_untold(&claimed.message, &sent, None).await;
    let untold = untold.unwrap().unwrap();
    assert_eq!(fixture.now(&message).await, untold);
    fixture.work().await;
    fixture.work_after(Duration::from_secs(119)).await;
    assert!(fixture.announced().await.is_empty());
    fixture.work_after(Duration::from_secs(2)).await;
    let told = vec![("message.sent".to_owned(), Value::Null)];
    assert_eq!(fixture.announced().await, told);
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!(fixture.now(&message).await.due_at, None);
    assert!(!store.told(&untold).await.unwrap(), "once");
    fixture.work_after(Duration::from_hours(1)).await;
    assert!(fixture.announced().await.is_empty());
    assert_eq!(fixture.app.wechat.calls(SEND), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_above_the_limit_wait() {
    let fixture = Fixture::start_with(&[("RATE_LIMIT_MESSAGES", "1/h burst 1")]).await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    for key in ["order-7:shipped", "order-8:shipped"] {
        fixture.order(&fixture.subscribe(key)).await;
    }
    fixture.work().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    assert!(fixture.app.message_queue().is_empty());
    fixture.work_after(Duration::from_secs(3601)).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_neither_fails() {
    let fixture = Fixture::start().await;
    for event in [
        json!({"Records": [{"eventSource": "aws:s3"}]}),
        json!({"task": "x"}),
    ] {
        let answer = gateway::hand_over(&fixture.invoker, &event).await;
        let error = answer.unwrap_err().to_string();
        assert_eq!(error, "neither messages of a queue nor a task");
    }
}
