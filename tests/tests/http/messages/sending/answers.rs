//! What WeChat answers, or does not, and what becomes of the message and its consent.

use std::time::Duration;

use e2e::{settings::APP_ID, test_app::capture};
use serde_json::{Value, json, value::RawValue};
use shared::{messages::QueueEntry, runtime::InvocationScope};
use tokio::time::Instant;
use wechat_simulator::{Fault, Quota};

use super::{CONTENT, Fixture, REPLY, SEND, TEMPLATE, one};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_sent_once_and_uses_up_a_consent() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    let grants = fixture.app.wechat.grants("alice", TEMPLATE, None);
    assert_eq!(grants.unwrap(), 1);

    // The queue can hand it over again, and the schedule comes in any case.
    let entry = QueueEntry::text_of(&message);
    fixture.put(&entry).await;
    fixture.work().await;
    fixture.work_after(Duration::from_hours(1)).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    assert!(fixture.app.message_queue().is_empty());

    let events = fixture.events().await;
    let [(_, kind, data)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(kind, "message.sent");
    let wanted = json!({
        "userId": fixture.user.user_id(), "messageId": message.id.to_string(), "type": "subscribe",
        "appId": APP_ID, "templateId": TEMPLATE, "status": "sent",
    });
    assert_eq!(*data, wanted);
    let open_id = fixture.app.wechat.open_id("alice", None).unwrap();
    let logs = log.logs();
    for secret in [CONTENT, open_id.as_str()] {
        assert!(!logs.contain(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_consent_wechat_is_not_asked() {
    let fixture = Fixture::start().await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    fixture
        .assert_state(&message, "refused", Some("no_grant"))
        .await;
    assert_eq!(fixture.app.wechat.calls(SEND), 0);
    assert_eq!(
        fixture.announced().await,
        one("message.refused", "no_grant")
    );
    // A consent that comes later is for later messages.
    fixture.agree("request-1").await;
    fixture.work_after(Duration::from_hours(1)).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_wechat_does_not_know_is_used_up() {
    let fixture = Fixture::start().await;
    // Alice has taken it back in the settings, of which nobody is told.
    fixture.report("request-1").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    fixture
        .assert_state(&message, "refused", Some("user_refused"))
        .await;
    assert_eq!(fixture.app.wechat.calls(SEND), 1);
    assert_eq!(fixture.remaining().await, 0);
    let refused = one("message.refused", "user_refused");
    assert_eq!(fixture.announced().await, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_of_the_day_is_waited_for_until_after_midnight_in_shanghai() {
    let fixture = Fixture::start_with(&[]).await;
    fixture.agree("request-1").await;
    let quota = Quota::SubscribeMessages;
    fixture.app.wechat.set_quota(quota, 0, None).unwrap();
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    let reason = Some("quota_exceeded");
    fixture.assert_state(&message, "queued", reason).await;
    assert_eq!(fixture.remaining().await, 1);
    let due = fixture.now(&message).await.due_at.unwrap();
    let (first, last) = ("2026-11-23T16:10:00Z", "2026-11-23T16:20:01Z");
    assert!(
        due >= first.parse().unwrap() && due <= last.parse().unwrap(),
        "{due}"
    );
    assert!(fixture.announced().await.is_empty());

    fixture.app.wechat.set_quota(quota, 1000, None).unwrap();
    fixture.work_after(Duration::from_hours(8)).await;
    assert_eq!(fixture.delivered(), 0);
    fixture.work_after(Duration::from_mins(21)).await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_wechat_finds_invalid_fails_and_the_consent_comes_back() {
    let fixture = Fixture::start().await;
    let error = Fault {
        errcode: Some(47003),
        ..Fault::default()
    };
    let message = fixture.order_that_meets(error).await;
    fixture
        .assert_state(&message, "failed", Some("invalid"))
        .await;
    assert_eq!(fixture.now(&message).await.errcode, Some(47003));
    assert_eq!(fixture.remaining().await, 1);
    let events = fixture.events().await;
    let [(_, kind, data)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (kind.as_str(), &data["errcode"]),
        ("message.failed", &json!(47003))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_wechat_did_not_take_is_sent_later() {
    let fixture = Fixture::start().await;
    let busy = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    let message = fixture.order_that_meets(busy).await;
    fixture.assert_state(&message, "queued", Some("busy")).await;
    assert_eq!(fixture.remaining().await, 1);
    fixture.app.wechat.clear_faults();
    fixture.work_after(Duration::from_secs(30)).await;
    assert_eq!(fixture.delivered(), 0, "not due yet");
    fixture.work_after(Duration::from_secs(31)).await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_access_token_can_be_fetched_nothing_is_claimed() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    // It is carried out, but nobody learns the token.
    let lost = Fault {
        reset: true,
        ..Fault::default()
    };
    fixture.fail("/cgi-bin/stable_token", lost);
    fixture.work().await;
    fixture
        .assert_state(&message, "queued", Some("unavailable"))
        .await;
    assert_eq!(fixture.now(&message).await.attempts, 0);
    assert_eq!(fixture.app.wechat.calls(SEND), 0);
    fixture.app.wechat.clear_faults();
    fixture.work_after(Duration::from_secs(61)).await;
    fixture.assert_state(&message, "sent", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_not_claimed_when_its_access_token_took_the_time() {
    let fixture = Fixture::start_with(&[("WECHAT_TIMEOUT_MS", "3000")]).await;
    fixture.agree("request-1").await;
    let message = fixture.record(&fixture.subscribe("order-7:shipped")).await;
    fixture.app.clock.advance_seconds(1);
    let token = "/cgi-bin/stable_token";
    let slow = Fault {
        latency_ms: Some(2000),
        ..Fault::default()
    };
    fixture.fail(token, slow);
    // Half a second of it is the invocation's own; the call and the writes need seven.
    let invocation = InvocationScope {
        id: "1",
        deadline: Some(Instant::now() + Duration::from_secs(9)),
    };
    let event = RawValue::from_string(json!({"task": "send-messages"}).to_string());
    let answer = fixture.invoker.invoke(&event.unwrap(), invocation).await;
    assert_eq!(answer.unwrap()["sent"], 0);
    assert_eq!(fixture.app.wechat.calls(token), 1);
    assert_eq!(fixture.now(&message).await, message);
    fixture.app.wechat.clear_faults();
    fixture.poller.run_schedule().await;
    fixture.assert_state(&message, "sent", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_stale_access_token_can_not_be_replaced_nothing_is_in_doubt() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    // From here on there is a token.
    fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    let stale = Fault {
        path: Some(SEND.to_owned()),
        errcode: Some(40001),
        ..Fault::default()
    };
    let lost = Fault {
        path: Some("/cgi-bin/stable_token".to_owned()),
        reset: true,
        ..Fault::default()
    };
    fixture.app.wechat.set_faults([stale, lost]).unwrap();
    let message = fixture.order(&fixture.subscribe("order-8:shipped")).await;
    fixture.work().await;
    let reason = Some("unavailable");
    fixture.assert_state(&message, "queued", reason).await;
    assert_eq!(fixture.now(&message).await.attempts, 1);
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    fixture.app.wechat.clear_faults();
    fixture.work_after(Duration::from_secs(61)).await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_refused_before_it_reaches_wechat_is_sent_later() {
    let fixture = Fixture::start().await;
    let forbidden = Fault {
        status: Some(403),
        ..Fault::default()
    };
    let message = fixture.order_that_meets(forbidden).await;
    let reason = Some("unavailable");
    fixture.assert_state(&message, "queued", reason).await;
    assert_eq!(fixture.remaining().await, 1);
    fixture.app.wechat.clear_faults();
    fixture.work_after(Duration::from_secs(61)).await;
    fixture.assert_state(&message, "sent", None).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_an_answer_is_not_sent_again() {
    for fault in [
        Fault {
            reset: true,
            ..Fault::default()
        },
        Fault {
            status: Some(502),
            ..Fault::default()
        },
    ] {
        let is_carried_out = fault.reset;
        let fixture = Fixture::start().await;
        let message = fixture.order_that_meets(fault).await;
        let reason = Some("no_answer");
        fixture.assert_state(&message, "unconfirmed", reason).await;
        assert_eq!(fixture.remaining().await, 0, "the consent may be used up");
        fixture.app.wechat.clear_faults();
        fixture.work_after(Duration::from_hours(1)).await;
        assert_eq!(fixture.app.wechat.calls(SEND), 1);
        assert_eq!(fixture.delivered(), usize::from(is_carried_out));
        let events = fixture.events().await;
        let [(_, kind, data)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(kind, "message.failed");
        assert_eq!(
            (&data["status"], &data["reason"]),
            (&json!("unconfirmed"), &json!("no_answer"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_costs_few_of_the_messages_that_are_due() {
    let fixture = Fixture::start().await;
    let mut messages = Vec::new();
    for number in 0..12 {
        fixture.agree(&format!("request-{number}")).await;
        let order = fixture.subscribe(&format!("order-{number}:shipped"));
        messages.push(fixture.record(&order).await);
    }
    let lost = Fault {
        reset: true,
        ..Fault::default()
    };
    fixture.fail(SEND, lost);
    fixture.work_after(Duration::from_secs(1)).await;
    let mut untouched = 0;
    for message in &messages {
        let now = fixture.now(message).await;
        match now.status.as_str() {
            "unconfirmed" => {}
            _ => untouched += usize::from(now == *message),
        }
    }
    assert_eq!((fixture.app.wechat.calls(SEND), untouched), (3, 9));
    assert_eq!(fixture.remaining().await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_is_spent_holds_up_no_reply() {
    let fixture = Fixture::start().await;
    let quota = Quota::SubscribeMessages;
    fixture.app.wechat.set_quota(quota, 0, None).unwrap();
    // More than a page of them, and than are sent at once.
    for number in 0..70 {
        let order = fixture.subscribe(&format!("order-{number}:shipped"));
        fixture.record(&order).await;
        if number < 40 {
            fixture.agree(&format!("request-{number}")).await;
        }
    }
    fixture.app.clock.advance_seconds(1);
    let text = Some("在吗");
    let wechat = &fixture.app.wechat;
    wechat.customer_service("alice", text, None).unwrap();
    let reply = fixture.record(&fixture.reply("question-1")).await;
    fixture.work_after(Duration::from_secs(1)).await;
    fixture.assert_state(&reply, "sent", None).await;
    // Those that were under way when ten had failed.
    let calls = fixture.app.wechat.calls(SEND);
    assert!((10..40).contains(&calls), "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_given_up_when_it_has_waited_for_too_long() {
    let fixture = Fixture::start_with(&[("MESSAGE_RETRY_SECONDS", "60")]).await;
    let busy = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    let message = fixture.order_that_meets(busy).await;
    fixture.assert_state(&message, "queued", Some("busy")).await;
    fixture.work_after(Duration::from_secs(61)).await;
    fixture.assert_state(&message, "failed", Some("busy")).await;
    assert_eq!(fixture.remaining().await, 1);
    assert_eq!(fixture.announced().await, one("message.failed", "busy"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_nobody_came_to_for_too_long_is_not_sent_any_more() {
    let fixture = Fixture::start_with(&[("MESSAGE_RETRY_SECONDS", "3600")]).await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    let fresh = fixture.record(&fixture.subscribe("order-6:shipped")).await;
    fixture.work_after(Duration::from_secs(7199)).await;
    fixture.assert_state(&fresh, "sent", None).await;

    let busy = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    fixture.fail(SEND, busy);
    let tried = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    fixture.app.wechat.clear_faults();
    let untried = fixture.record(&fixture.subscribe("order-8:shipped")).await;
    let calls = fixture.app.wechat.calls(SEND);
    fixture.work_after(Duration::from_secs(7201)).await;
    fixture.assert_state(&tried, "failed", Some("busy")).await;
    let expired = Some("expired");
    fixture.assert_state(&untried, "failed", expired).await;
    assert_eq!(fixture.app.wechat.calls(SEND), calls);
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    let mut kinds: Vec<_> = fixture.announced().await;
    kinds.sort_by_key(|(_, reason)| reason.to_string());
    let wanted = [
        ("message.failed".to_owned(), json!("busy")),
        ("message.failed".to_owned(), json!("expired")),
        ("message.sent".to_owned(), Value::Null),
    ];
    assert_eq!(kinds, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customer_service_replies_while_wechat_allows_it() {
    let fixture = Fixture::start().await;
    let early = fixture.order(&fixture.reply("question-0")).await;
    fixture.work().await;
    let closed = Some("window_closed");
    fixture.assert_state(&early, "refused", closed).await;

    let text = Some("在吗");
    fixture
        .app
        .wechat
        .customer_service("alice", text, None)
        .unwrap();
    for number in 1..=5 {
        let key = format!("question-{number}");
        let reply = fixture.order(&fixture.reply(&key)).await;
        fixture.work().await;
        fixture.assert_state(&reply, "sent", None).await;
    }
    let sixth = fixture.order(&fixture.reply("question-6")).await;
    fixture.work().await;
    let many = Some("too_many_replies");
    fixture.assert_state(&sixth, "refused", many).await;
    assert_eq!(fixture.delivered(), 5);
    assert_eq!(fixture.app.wechat.calls(REPLY), 7);
}
