//! Sending: from an order in the queue or a row that is due to WeChat's answer, through all that can go
//! wrong there.

mod answers;
mod due;
mod orders;

use std::time::Duration;

use e2e::{
    settings::APP_ID,
    test_app::{SharedState::InProcess, TestApp, TestAppBuilder, Tokens},
};
use local::Poller;
use serde_json::{Value, json};
use shared::{
    instance::Instance,
    messages::{Creation, GrantRequest, Message, MessageRequest, QueueEntry, RawMessageRequest},
    queue::Queue,
    runtime::Invoker,
    webhooks::QueuedEvent,
};
use wechat_simulator::{Fault, SubscriptionAnswer};

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

    /// Has a message sent, for which there is a consent, and which meets this fault at WeChat.
    async fn order_that_meets(&self, fault: Fault) -> Message {
        self.agree("request-1").await;
        self.fail(SEND, fault);
        let message = self.order(&self.subscribe("order-7:shipped")).await;
        self.work().await;
        message
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
