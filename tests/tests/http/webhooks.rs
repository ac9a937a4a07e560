//! Webhooks: from an event in the queue to receivers, through all that can go wrong there.

mod failures;
mod faults;

use std::time::Duration;

use e2e::{
    test_app::{SharedState::InProcess, TestApp},
    webhooks::{Hook, Receiver},
};
use jiff::Timestamp;
use local::Poller;
use serde_json::{Value, json};
use shared::{
    instance::Instance,
    runtime::Invoker,
    webhooks::{Event, FailedDelivery},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// An app with a queue, and the function that delivers from it.
struct Fixture {
    app: TestApp,
    instance: Instance,
    poller: Poller,
    settings: Vec<(String, String)>,
}

impl Fixture {
    /// With these receivers.
    async fn start(receivers: &Value) -> Self {
        Self::start_with(receivers, &[]).await
    }

    /// The same with some variables set otherwise.
    async fn start_with(receivers: &Value, changes: &[(&str, &str)]) -> Self {
        let app = TestApp::builder(InProcess)
            .webhooks()
            .real_time()
            .start()
            .await;
        let receivers = receivers.to_string();
        let first = [
            ("WEBHOOKS", receivers.as_str()),
            ("WEBHOOK_TIMEOUT_MS", "500"),
        ];
        let changes: Vec<_> = first.iter().chain(changes).copied().collect();
        let instance = app.instance_with(&changes);
        let invoker = Invoker::new(webhooks::handler(&instance));
        instance.env().validate().unwrap();
        let queue = instance.webhook_queue().unwrap();
        Self {
            app,
            instance,
            poller: Poller::webhooks(queue, invoker),
            settings: changes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// Puts an event into the queue, as the worker does.
    async fn announce(&self, kind: &str, source: &str) -> Event {
        let at = Timestamp::UNIX_EPOCH;
        let event = Event::new(kind, &[source], at, &json!({"userId": source}));
        let outbox = self.instance.webhook_outbox();
        outbox.announce(vec![event.clone()]).await.unwrap();
        event
    }

    /// Hands over what is visible, until nothing is, and has the function work on what is due.
    async fn work(&self) {
        while self.poller.run_once().await > 0 {}
        self.poller.run_schedule().await;
        while self.poller.run_once().await > 0 {}
    }

    /// What is set in the function's environment.
    fn settings(&self) -> Vec<(&str, &str)> {
        let settings = self.settings.iter();
        settings
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// What polls the queue for another instance, with some variables set otherwise.
    fn another_poller(&self, changes: &[(&str, &str)]) -> Poller {
        let instance = self.app.instance_with(changes);
        let invoker = Invoker::new(webhooks::handler(&instance));
        instance.env().validate().unwrap();
        Poller::webhooks(instance.webhook_queue().unwrap(), invoker)
    }

    /// The deliveries that were given up.
    async fn given_up(&self) -> Vec<FailedDelivery> {
        let failures = self.instance.webhook_failures();
        failures.page(100, None, None).await.unwrap().failures
    }

    /// The same after some time.
    async fn work_after(&self, pause: Duration) {
        self.app
            .clock
            .advance_seconds(i64::try_from(pause.as_secs()).unwrap());
        self.work().await;
    }
}

/// A receiver of everything.
fn receiver(id: &str, at: &Receiver) -> Value {
    json!({"id": id, "url": format!("http://{}/hooks", at.address), "secrets": [SECRET]})
}

/// Verifies with the project's own library for Rust.
fn verify(hook: &Hook, secret: &str) -> bool {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, hook.header(name).parse().unwrap());
    }
    let theirs = standardwebhooks::Webhook::new(secret).unwrap();
    theirs.verify(hook.body.as_bytes(), &headers).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_receiver_gets_the_events_that_it_wants_signed() {
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    let mut second = receiver("some", &some);
    second["events"] = json!(["session.*", "user.deleted"]);
    second["secrets"] = json!([NEW_SECRET, SECRET]);
    let fixture = Fixture::start(&json!([receiver("all", &all), second])).await;
    let created = fixture.announce("user.created", "a").await;
    let deleted = fixture.announce("user.deleted", "a").await;
    fixture.work().await;
    let mut ids = all.ids();
    ids.sort();
    let mut wanted = [created.id.clone(), deleted.id.clone()];
    wanted.sort();
    assert_eq!(ids, wanted);
    assert_eq!(some.ids(), std::slice::from_ref(&deleted.id));
    assert!(fixture.app.queue().is_empty());

    let hook = &some.hooks()[0];
    assert_eq!(hook.body, deleted.payload);
    assert_eq!(hook.json()["id"], deleted.id);
    assert_eq!(hook.header("content-type"), "application/json");
    assert!(
        hook.head.starts_with("POST /hooks HTTP/1.1"),
        "{}",
        hook.head
    );
    for (secret, is_theirs) in [
        (SECRET, true),
        (NEW_SECRET, true),
        ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false),
    ] {
        assert_eq!(verify(hook, secret), is_theirs, "{secret}");
    }
    let mut forged = hook.clone();
    forged.body = hook.body.replace("user.deleted", "user.created");
    assert!(!verify(&forged, SECRET));
    assert!(verify(&all.hooks()[0], SECRET) && !verify(&all.hooks()[0], NEW_SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_nobody_wants_is_done() {
    let one = Receiver::start().await;
    let mut only = receiver("one", &one);
    only["events"] = json!(["session.revoked"]);
    let fixture = Fixture::start(&json!([only])).await;
    fixture.announce("user.created", "a").await;
    fixture.work().await;
    assert!(one.hooks().is_empty() && fixture.app.queue().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_announced_twice_has_one_id() {
    let one = Receiver::start().await;
    let fixture = Fixture::start(&json!([receiver("one", &one)])).await;
    let first = fixture.announce("user.created", "a").await;
    let second = fixture.announce("user.created", "a").await;
    fixture.work().await;
    assert_eq!(first, second);
    assert_eq!(one.ids(), [first.id.clone(), first.id]);
    let hooks = one.hooks();
    let [one, other] = &hooks[..] else {
        panic!("not two")
    };
    assert_eq!(one.body, other.body);
}
