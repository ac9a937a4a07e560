//! Sending: from an order in the queue or a row that is due to WeChat's answer, through all that can go
//! wrong there.

use std::time::Duration;

use e2e::{
    dynamodb::TABLE,
    settings::APP_ID,
    test_app::{SharedState::InProcess, TestApp, TestAppBuilder, Tokens, capture},
};
use futures_util::future::join_all;
use local::Poller;
use serde_json::{Value, json, value::RawValue};
use shared::{
    instance::Instance,
    messages::{
        ClaimOutcome, Creation, Ending, GrantRequest, Message, MessageRequest, MessageStatus,
        QueueEntry, RawMessageRequest,
    },
    queue::Queue,
    runtime::{InvocationScope, Invoker},
    webhooks::QueuedEvent,
};
use tokio::time::Instant;
use wechat_simulator::{Fault, Quota, SubscriptionAnswer};

/// Template ids have 43 characters.
const TEMPLATE: &str = "priTmplId-0123456789abcdefghijklmnopqrstuvw";
const SEND: &str = "/cgi-bin/message/subscribe/send";
const REPLY: &str = "/cgi-bin/message/custom/send";
/// What the messages say.
const CONTENT: &str = "一箱苹果";

/// An app with queues of messages and of events, the function that sends, and a user.
struct Fixture {
    app: TestApp,
    instance: Instance,
    invoker: Invoker,
    poller: Poller,
    queue: Queue,
    user: Tokens,
}

impl Fixture {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With some variables of the sending function set otherwise.
    async fn start_with(changes: &[(&str, &str)]) -> Self {
        Self::of(TestApp::builder(InProcess), changes).await
    }

    async fn of(builder: TestAppBuilder, changes: &[(&str, &str)]) -> Self {
        let app = builder.messages().webhooks().start().await;
        let instance = app.instance_with(changes);
        let invoker = Invoker::new(messages::handler(&instance));
        instance.env().validate().unwrap();
        let queue = instance.message_queue().unwrap();
        let user = app.log_in("alice").await;
        Self {
            poller: Poller::messages(queue.clone(), invoker.clone()),
            app,
            instance,
            invoker,
            queue,
            user,
        }
    }

    /// What sends for another instance, with some variables set otherwise.
    fn another_poller(&self, changes: &[(&str, &str)]) -> Poller {
        let instance = self.app.instance_with(changes);
        let invoker = Invoker::new(messages::handler(&instance));
        instance.env().validate().unwrap();
        Poller::messages(instance.message_queue().unwrap(), invoker)
    }

    /// Alice agrees to one message, and the page reports it.
    async fn agree(&self, request: &str) {
        let answer = SubscriptionAnswer::Accept;
        self.app
            .wechat
            .subscribe("alice", TEMPLATE, answer, None)
            .unwrap();
        self.report(request).await;
    }

    /// The page reports that Alice agreed to one message.
    async fn report(&self, request: &str) {
        let open_id = self.app.wechat.open_id("alice", None).unwrap();
        let grant = GrantRequest {
            user: self.user.user_id().parse().unwrap(),
            app_id: APP_ID.parse().unwrap(),
            open_id: open_id.parse().unwrap(),
            request_id: request.parse().unwrap(),
            accepted: vec![TEMPLATE.parse().unwrap()],
        };
        self.instance.grants().record(&grant).await.unwrap();
    }

    /// How many messages Alice still agrees to, as this service counts.
    async fn remaining(&self) -> usize {
        let (user, app) = (self.user.user_id(), APP_ID.parse().unwrap());
        let grants = self.instance.grants();
        let remaining = grants.remaining(user.parse().unwrap(), &app).await.unwrap();
        remaining.values().sum()
    }

    fn subscribe(&self, key: &str) -> Value {
        json!({
            "idempotencyKey": key, "userId": self.user.user_id(), "type": "subscribe",
            "templateId": TEMPLATE, "page": "pages/order/index?id=7", "data": {"thing1": CONTENT},
        })
    }

    fn reply(&self, key: &str) -> Value {
        json!({
            "idempotencyKey": key, "userId": self.user.user_id(), "type": "customer_service",
            "message": {"kind": "text", "content": CONTENT},
        })
    }

    fn request(&self, order: &Value) -> MessageRequest {
        let raw: RawMessageRequest = serde_json::from_value(order.clone()).unwrap();
        raw.check(&self.instance.message_rules()).unwrap()
    }

    /// The row of an order, as the API makes it.
    async fn record(&self, order: &Value) -> Message {
        let created = self.instance.messages().create(&self.request(order)).await;
        let Creation::Created(message) = created.unwrap() else {
            panic!("not created")
        };
        message
    }

    /// An order, as the API takes it.
    async fn order(&self, order: &Value) -> Message {
        let message = self.record(order).await;
        let entry = QueueEntry::text_of(&message);
        self.queue.send(&[entry]).await.unwrap();
        message
    }

    /// Puts this text into the queue.
    async fn put(&self, body: impl ToString) {
        self.queue.send(&[body.to_string()]).await.unwrap();
    }

    /// Hands over what is visible in the queue.
    async fn work(&self) {
        while self.poller.run_once().await > 0 {}
    }

    /// Has the function send what is due, after some time.
    async fn work_after(&self, pause: Duration) {
        let seconds = i64::try_from(pause.as_secs()).unwrap();
        self.app.clock.advance_seconds(seconds);
        self.poller.run_schedule().await;
    }

    /// The message as it is now.
    async fn now(&self, message: &Message) -> Message {
        let store = self.instance.messages();
        let found = store.get(message.user, &message.id).await.unwrap();
        found.unwrap()
    }

    /// Its status and its reason.
    async fn state(&self, message: &Message) -> (&'static str, Option<String>) {
        let now = self.now(message).await;
        (now.status.as_str(), now.reason)
    }

    async fn assert_state(&self, message: &Message, status: &str, reason: Option<&str>) {
        let state = self.state(message).await;
        assert_eq!(state, (status_word(status), reason.map(str::to_owned)));
    }

    /// How many messages are on Alice's phone.
    fn delivered(&self) -> usize {
        self.app.wechat.messages("alice", None).unwrap().len()
    }

    fn fail(&self, path: &str, mut fault: Fault) {
        fault.path = Some(path.to_owned());
        self.app.wechat.set_faults([fault]).unwrap();
    }

    /// Takes the events out of their queue: ids, types and data.
    async fn events(&self) -> Vec<(String, String, Value)> {
        let queue = self.instance.webhook_queue().unwrap();
        let mut events = Vec::new();
        loop {
            let received = queue.receive(10, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return events;
            }
            for message in received {
                let event = QueuedEvent::read(&message.body).unwrap().event;
                let payload: Value = serde_json::from_str(&event.payload).unwrap();
                events.push((event.id, event.kind, payload["data"].clone()));
                queue.delete(&message.receipt_handle).await.unwrap();
            }
        }
    }

    /// The types and reasons of the events.
    async fn announced(&self) -> Vec<(String, Value)> {
        let events = self.events().await.into_iter();
        events
            .map(|(_, kind, data)| (kind, data["reason"].clone()))
            .collect()
    }
}

/// The same word with the lifetime of the code.
fn status_word(status: &str) -> &'static str {
    let words = [
        "queued",
        "sending",
        "sent",
        "refused",
        "failed",
        "unconfirmed",
    ];
    words.into_iter().find(|word| *word == status).unwrap()
}

fn one(kind: &str, reason: &str) -> Vec<(String, Value)> {
    vec![(kind.to_owned(), json!(reason))]
}

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
    fixture.agree("request-1").await;
    let error = Fault {
        errcode: Some(47003),
        ..Fault::default()
    };
    fixture.fail(SEND, error);
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
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
    fixture.agree("request-1").await;
    let busy = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    fixture.fail(SEND, busy);
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
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
    fixture.agree("request-1").await;
    let forbidden = Fault {
        status: Some(403),
        ..Fault::default()
    };
    fixture.fail(SEND, forbidden);
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
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
        fixture.agree("request-1").await;
        fixture.fail(SEND, fault);
        let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
        fixture.work().await;
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
    fixture.agree("request-1").await;
    let busy = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    fixture.fail(SEND, busy);
    let message = fixture.order(&fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_ones_own_function_is_a_message() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    fixture.agree("request-2").await;
    let order = fixture.subscribe("order-7:shipped");
    // It sends it twice, and then another message under the same name.
    let mut other = order.clone();
    other["data"]["thing1"] = json!("两箱苹果");
    for body in [&order, &order, &other] {
        fixture.put(body).await;
        fixture.work().await;
    }
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 1));
    let refused = log
        .logs()
        .json_where("reason", &"idempotency_key_reused".into());
    let of_user = |line: &&Value| line["user_id"] == fixture.user.user_id();
    assert_eq!(refused.iter().filter(of_user).count(), 1);
    assert!(fixture.app.message_queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_nobody_is_told_to_receivers_as_one_event() {
    let fixture = Fixture::start().await;
    let mut order = fixture.subscribe("order-7:shipped");
    order["userId"] = json!("0193c0de-0000-7000-8000-00000000abcd");
    for _ in 0..2 {
        fixture.put(&order).await;
        fixture.work().await;
    }
    let events = fixture.events().await;
    let [(one, kind, data), (other, ..)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((one, kind.as_str()), (other, "message.failed"));
    assert_eq!(data["reason"], "user_unreachable");
    assert!(fixture.app.message_queue().is_empty());
}

/// An app where Alice can call a deletion off for a week.
async fn with_cooling() -> Fixture {
    let builder = TestApp::builder(InProcess).set("DELETION_COOLING_DAYS", "7");
    Fixture::of(builder, &[]).await
}

/// The queue hands over what came back.
async fn work_again(fixture: &Fixture) {
    fixture.app.clock.advance_seconds(361);
    fixture.work().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_an_account_that_is_barred_for_a_while_comes_back() {
    let fixture = with_cooling().await;
    fixture.agree("request-1").await;
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    work_again(&fixture).await;
    assert_eq!(fixture.app.message_queue().len(), 1);
    assert!(fixture.announced().await.is_empty());
    api.call_back(&fixture.app.code("alice")).await.ok(200);
    work_again(&fixture).await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
    assert!(fixture.app.message_queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_an_account_that_stays_barred_is_given_up() {
    let fixture = with_cooling().await;
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    for _ in 0..4 {
        work_again(&fixture).await;
    }
    assert_eq!(fixture.app.message_queue().len(), 1);
    assert!(fixture.announced().await.is_empty());
    work_again(&fixture).await;
    assert!(fixture.app.message_queue().is_empty());
    let failed = one("message.failed", "user_unreachable");
    assert_eq!(fixture.announced().await, failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_comes_twice_is_not_told_as_failed_because_its_account_is_barred_by_then() {
    let fixture = with_cooling().await;
    fixture.agree("request-1").await;
    let order = fixture.subscribe("order-7:shipped");
    fixture.put(&order).await;
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    let api = &fixture.app.api;
    api.delete_account(&fixture.user.access).await.ok(202);
    fixture.put(&order).await;
    fixture.work().await;
    assert!(fixture.app.message_queue().is_empty());
    let events = fixture.events().await;
    let kinds: Vec<_> = events.iter().map(|(_, kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["message.sent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_comes_back_and_holds_up_nothing() {
    let log = capture();
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let mut invalid = fixture.subscribe("order-8:shipped");
    invalid["data"]["thing1"] = json!("hunter2 hunter2 hunter2 hunter2");
    fixture.put("hunter2").await;
    fixture.put(&invalid).await;
    fixture.put(fixture.subscribe("order-7:shipped")).await;
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    assert_eq!(fixture.app.message_queue().len(), 2);
    let logs = log.logs();
    let unreadable = logs.json_where("message", &"an unreadable message".into());
    let has = |why: &str| unreadable.iter().any(|line| line["why"] == why);
    assert!(has("not an order"), "{unreadable:?}");
    assert!(
        has("an order with invalid fields: data.thing1 (template_field)"),
        "{unreadable:?}"
    );
    assert!(!logs.contain("hunter2"));
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_the_queue_does_not_take_is_sent_by_the_schedule() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let administrator = fixture.app.administrator("bob").await;
    let nowhere = [("MESSAGE_QUEUE_URL", "http://127.0.0.1:1/0/messages")];
    let api = fixture.app.another_instance_with(&nowhere).await;
    let order = fixture.subscribe("order-7:shipped");
    let ordered = api.request("POST", "/api/v1/messages");
    let ordered = ordered.bearer(&administrator.access).json(&order);
    assert_eq!(ordered.send().await.ok(202)["status"], "queued");
    assert!(fixture.app.message_queue().is_empty());
    fixture.poller.run_schedule().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_an_administrator_is_sent_at_once() {
    let fixture = Fixture::start().await;
    fixture.agree("request-1").await;
    let administrator = fixture.app.administrator("bob").await;
    let order = fixture.subscribe("order-7:shipped");
    let ask = async || {
        let ordered = fixture.app.api.request("POST", "/api/v1/messages");
        let ordered = ordered.bearer(&administrator.access).json(&order);
        ordered.send().await.ok(202)["status"].clone()
    };
    assert_eq!(ask().await, "queued");
    fixture.work().await;
    assert_eq!(fixture.delivered(), 1);
    // The same order again is the same message.
    assert_eq!(ask().await, "sent");
    fixture.work().await;
    assert_eq!((fixture.delivered(), fixture.remaining().await), (1, 0));
}
