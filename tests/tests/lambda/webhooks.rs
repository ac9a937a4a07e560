//! Webhooks: the function as it is deployed, with messages as Lambda hands them over, and the receivers
//! that the documents show.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use e2e::{
    binaries,
    process::{Process, Spawn},
    runtime_api::FunctionUnderTest,
    settings::AWS_ENVIRONMENT,
    webhooks::{Behaviour, Receiver, queue, serve},
    within_patience,
};
use local::MessageQueue;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    config::Env,
    instance::Instance,
    queue::{Queue, Received},
    random::Random,
    webhooks::Event,
};

use crate::{
    gateway::{ANY_PORT, Running, folder},
    harness::LambdaHarness,
    snippets::snippets,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The function with a queue and two receivers.
struct WebhookHarness {
    harness: LambdaHarness,
    messages: MessageQueue,
    instance: Instance,
    queue: Queue,
    one: Receiver,
    other: Receiver,
}

impl WebhookHarness {
    async fn start() -> Self {
        let mut harness = LambdaHarness::start().await;
        let messages = queue(Clock::System);
        let url = serve(&messages).await;
        let (one, other) = (Receiver::start().await, Receiver::start().await);
        let receiver = |id: &str, at: &Receiver| json!({"id": id, "url": format!("http://{}/", at.address), "secrets": [SECRET]});
        let receivers = json!([receiver("one", &one), receiver("other", &other)]);
        harness.settings = harness
            .settings
            .with("WEBHOOK_QUEUE_URL", &url)
            .with("WEBHOOK_PRIVATE_NETWORKS", "127.0.0.0/8")
            .with("WEBHOOKS", &receivers.to_string());
        let variables = AWS_ENVIRONMENT
            .into_iter()
            .chain([("WEBHOOK_QUEUE_URL", &*url)]);
        let env = Env::new(variables);
        let instance = Instance::new(env, Clock::System, Random::System);
        Self {
            harness,
            messages,
            queue: instance.webhook_queue().unwrap(),
            instance,
            one,
            other,
        }
    }

    fn function(&self) -> FunctionUnderTest {
        self.harness.function("webhooks")
    }

    /// Puts an event into the queue and hands it over, so that there is a message for each receiver.
    async fn announce(&self, function: &FunctionUnderTest) -> (Event, Vec<Received>) {
        let at = "2026-11-26T01:02:03Z".parse().unwrap();
        let event = Event::new("user.created", &["a"], at, &json!({"userId": "a"}));
        let outbox = self.instance.webhook_outbox();
        outbox.announce(vec![event.clone()]).await.unwrap();
        let received = self.queue.receive(10, Duration::ZERO).await.unwrap();
        let [message] = &received[..] else {
            panic!("not one message")
        };
        let answer = function.invoke(&handed_over(&[message])).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
        self.queue.delete(&message.receipt_handle).await.unwrap();
        (event, self.queue.receive(10, Duration::ZERO).await.unwrap())
    }
}

/// As Lambda hands messages over.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
fn handed_over(messages: &[&Received]) -> Value {
    let record = |message: &&Received| {
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": message.attributes,
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:hooks",
            "awsRegion": "us-east-1",
        })
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

fn failures(ids: &[&str]) -> Value {
    let failures = ids.iter().map(|id| json!({"itemIdentifier": id}));
    json!({"batchItemFailures": failures.collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_only_what_is_not_done_is_named() {
    let all = WebhookHarness::start().await;
    let function = all.function();
    all.other.set(Behaviour::status(500));
    let (event, messages) = all.announce(&function).await;
    assert_eq!(messages.len(), 2);
    let garbage = Received {
        message_id: "garbage".into(),
        body: "hunter2".into(),
        ..messages[0].clone()
    };
    let batch: Vec<_> = messages.iter().chain([&garbage]).collect();
    let answer = function.invoke(&handed_over(&batch)).await;
    assert_eq!(answer, failures(&["garbage"]));
    assert_eq!(all.one.ids(), std::slice::from_ref(&event.id));
    assert_eq!(all.other.ids(), std::slice::from_ref(&event.id));
    // What the other did not take waits in the table, and is delivered when it is due.
    all.other.set(Behaviour::status(204));
    let task = json!({"task": "retry-webhooks"});
    let delivered = async {
        while all.other.ids().len() < 2 {
            let report = function.invoke(&task).await;
            assert_eq!(report["failed"], 0, "{report}");
        }
    };
    within_patience("a second attempt", delivered).await;
    assert_eq!(all.other.ids(), [event.id.clone(), event.id]);
    let logs = function.logs().to_string();
    for secret in [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hunter2"] {
        assert!(!logs.contains(secret), "{logs}");
    }
    assert!(
        logs.contains("a delivery waits for its next attempt"),
        "{logs}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_killed_in_the_middle_loses_nothing() {
    let all = WebhookHarness::start().await;
    let first = all.function();
    let (event, messages) = all.announce(&first).await;
    let batch = handed_over(&messages.iter().collect::<Vec<_>>());
    all.one.set(Behaviour::Hang);
    // One receiver has it and has answered, the other has not.
    tokio::select! {
        answer = first.invoke(&batch) => panic!("{answer}"),
        _ = async { tokio::join!(all.one.wait_for(1), all.other.wait_for(1)) } => {}
    }
    drop(first);
    all.one.set(Behaviour::status(204));
    // Nobody has told the queue, so Lambda hands the same messages over again.
    let answer = all.function().invoke(&batch).await;
    assert_eq!(answer, failures(&[]));
    for receiver in [&all.one, &all.other] {
        assert_eq!(receiver.ids(), [event.id.clone(), event.id.clone()]);
    }
    assert_eq!(all.messages.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_something_else_fails() {
    let all = WebhookHarness::start().await;
    let function = all.function();
    let reply = function
        .measure(br#"{"Records":[{"eventSource":"aws:s3"}]}"#)
        .await;
    let reply = format!("{:?}", reply.reply);
    assert!(reply.contains("Error"), "{reply}");
    assert_eq!(
        function.invoke(&json!({"Records": []})).await,
        failures(&[])
    );
}

/// A receiver of the documents: a program, and the port that it listens on.
struct Shown {
    process: Process,
    port: u16,
}

impl Shown {
    async fn start(mut command: Command) -> Self {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        command
            .env("PORT", port.to_string())
            .env("WEBHOOK_SECRET", SECRET);
        let process = Spawn::new(command).guarded().spawn();
        assert!(process.listens_on(port).await, "{}", process.logs());
        Self { process, port }
    }
}

fn tool(name: &str) -> PathBuf {
    let program = binaries::workspace().join(".tools").join(name);
    let hint = "`make test` installs it before it runs the tests";
    assert!(
        program.is_file(),
        "{} is missing: {hint}",
        program.display()
    );
    program
}

/// The receivers of a page, in Node and in Python.
fn shown(page: &Path, folder: &Path) -> [Command; 2] {
    let one = |language: &str, file: &str, program: &str| {
        let found = snippets(page, language);
        let [text] = &found[..] else {
            panic!("{}: not one receiver in {language}", page.display())
        };
        let file = folder.join(file);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(tool(program));
        command.arg(file);
        command
    };
    let mut node = one("js", "receiver.js", "node");
    node.env(
        "NODE_PATH",
        binaries::workspace().join("tests/clients/node_modules"),
    );
    [node, one("python", "receiver.py", "venv/bin/python")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receivers_of_the_documents_verify_what_make_run_delivers() {
    for page in ["docs/webhooks.md", "docs/zh/webhooks.md"] {
        let (folder, page) = (folder(), binaries::workspace().join(page));
        let [node, python] = shown(&page, folder.path());
        let (node, python) = (Shown::start(node).await, Shown::start(python).await);
        let url = |receiver: &Shown| format!("http://127.0.0.1:{}/", receiver.port);
        let forged = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        // The second secret is being introduced; the third receiver has another one than it expects.
        let receivers = json!([
            {"id": "node", "url": url(&node), "secrets": [forged, SECRET], "events": ["user.*"]},
            {"id": "python", "url": url(&python), "secrets": [SECRET], "events": ["user.*"]},
            {"id": "forged", "url": url(&python), "secrets": [forged], "events": ["session.*"]},
        ])
        .to_string();
        let gateway = Running::start(folder.path(), &[ANY_PORT, ("WEBHOOKS", &receivers)]).await;
        let control = gateway.api.request("POST", "/_wechat/_control/code");
        let (_, _, issued) = control.json(&json!({"user": "alice"})).send_raw().await;
        let issued: Value = serde_json::from_slice(&issued).unwrap();
        let login = gateway.api.login(issued["code"].as_str().unwrap()).await;
        let user = login.ok(200)["user"]["id"].as_str().unwrap().to_owned();
        let token = login.data()["token"].as_str().unwrap();
        gateway.api.logout(token).await.ok(200);
        for receiver in [&node, &python] {
            let line = receiver.process.wait_for_line("user.created ").await;
            let (_, data) = line.split_once(' ').unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["userId"], user.as_str(), "{line}");
        }
        // It answers 401 to the forged one, and shows nothing of it.
        let refused = gateway.process.wait_for_line("status 401").await;
        assert!(refused.contains("forged"), "{refused}");
        assert!(
            !python
                .process
                .logs()
                .to_string()
                .contains("session.revoked")
        );
    }
}
