//! Messages to users: the function as it is deployed, with messages as Lambda hands them over, killed
//! wherever it can be.

use std::{path::PathBuf, process::Command, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    binaries,
    dynamodb::{Item, TABLE},
    runtime_api::FunctionUnderTest,
    settings::{APP_ID, AWS_ENVIRONMENT, Settings},
    webhooks::{queue, serve},
    wire_proxy::Fault as Broken,
    within_patience,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::{
    clock::Clock, config::Env, instance::Instance, messages::GrantRequest, queue::Queue,
    random::Random, webhooks::QueuedEvent,
};
use wechat_simulator::{Fault, SubscriptionAnswer};

use crate::{
    gateway::{ANY_PORT, Running, folder},
    harness::LambdaHarness,
    snippets::snippets,
    writes::Writes,
};

const TEMPLATE: &str = "priTmplId-0123456789abcdefghijklmnopqrstuvw";
const SEND: &str = "/cgi-bin/message/subscribe/send";

/// The function with a queue of events, and people who agreed to messages.
struct MessageHarness {
    harness: LambdaHarness,
    instance: Instance,
    /// The URL of the queue of events.
    url: String,
    events: Queue,
    login: FunctionUnderTest,
}

/// Somebody who agreed to one message, and the order of one.
struct Person {
    name: String,
    user: String,
    batch: Value,
}

impl MessageHarness {
    async fn start() -> Self {
        let mut harness = LambdaHarness::start().await;
        let messages = queue(Clock::System);
        let url = serve(&messages).await;
        harness.settings = harness.settings.with("WEBHOOK_QUEUE_URL", &url);
        let variables = harness.settings.variables().iter().cloned();
        let aws = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = Env::new(variables.chain(aws));
        let instance = Instance::new(env, Clock::System, Random::System);
        Self {
            login: harness.function("login"),
            events: instance.webhook_queue().unwrap(),
            harness,
            instance,
            url,
        }
    }

    fn function(&self) -> FunctionUnderTest {
        self.harness.function("messages")
    }

    /// Somebody new, who agreed to one message that is ordered now.
    async fn person(&self, name: &str) -> Person {
        let tokens = self.harness.log_in(&self.login, name).await;
        let wechat = &self.harness.wechat;
        let accept = SubscriptionAnswer::Accept;
        wechat.subscribe(name, TEMPLATE, accept, None).unwrap();
        let grant = GrantRequest {
            user: tokens.user_id().parse().unwrap(),
            app_id: APP_ID.parse().unwrap(),
            open_id: wechat.open_id(name, None).unwrap().parse().unwrap(),
            request_id: "request-1".parse().unwrap(),
            accepted: vec![TEMPLATE.parse().unwrap()],
        };
        self.instance.grants().record(&grant).await.unwrap();
        let order = json!({
            "idempotencyKey": "order-7:shipped", "userId": tokens.user_id(), "type": "subscribe",
            "templateId": TEMPLATE, "data": {"thing1": "一箱苹果"},
        });
        Person {
            name: name.to_owned(),
            user: tokens.user_id(),
            batch: handed_over(&[&order.to_string()]),
        }
    }

    /// The person's message.
    async fn row(&self, person: &Person) -> Item {
        let rows = self.harness.table.items_under("USER#").await.into_iter();
        let is_message = |row: &Item| {
            row["pk"].as_s().unwrap().ends_with(&person.user)
                && row["sk"].as_s().unwrap().starts_with("MESSAGE#")
        };
        let mut messages = rows.filter(is_message);
        let message = messages.next().unwrap();
        assert!(messages.next().is_none(), "two messages of {}", person.name);
        message
    }

    async fn status(&self, person: &Person) -> String {
        self.row(person).await["status"].as_s().unwrap().clone()
    }

    fn delivered(&self, person: &Person) -> usize {
        self.harness
            .wechat
            .messages(&person.name, None)
            .unwrap()
            .len()
    }

    /// How many consents of the person are left here, and with WeChat.
    async fn consents(&self, person: &Person) -> (usize, u32) {
        let (user, app) = (person.user.parse().unwrap(), APP_ID.parse().unwrap());
        let remaining = self.instance.grants().remaining(user, &app).await.unwrap();
        let wechat = &self.harness.wechat;
        let theirs = wechat.grants(&person.name, TEMPLATE, None).unwrap();
        (remaining.values().sum(), theirs)
    }

    /// As if the two minutes had passed for which a process has a message that it sends, or whose end it
    /// tells.
    async fn end_claims(&self, person: &Person) {
        let row = self.row(person).await;
        if !row.contains_key("dueAt") {
            return;
        }
        let past = "2026-01-01T00:00:00Z";
        let place = format!(
            "2026-01-01T00:00:00.000Z#{}#{}",
            person.user,
            row["id"].as_s().unwrap()
        );
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.harness.table.client().update_item().table_name(TABLE);
        let update = update
            .key("pk", row["pk"].clone())
            .key("sk", row["sk"].clone())
            .update_expression("SET dueAt = :past, gsi1sk = :place")
            .expression_attribute_values(":past", text(past))
            .expression_attribute_values(":place", text(&place));
        update.send().await.unwrap();
    }

    /// Takes the events out of their queue, and those that it did not take out of the table: their types.
    async fn announced(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            let received = self.events.receive(10, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return kinds;
            }
            for message in received {
                let event = QueuedEvent::read(&message.body).unwrap().event;
                // Logins have events, too.
                if event.kind.starts_with("message.") {
                    kinds.push(event.kind);
                }
                self.events.delete(&message.receipt_handle).await.unwrap();
            }
        }
    }

    /// Hands the order to a function that is killed when `stuck` is, and then to another one, which also
    /// does what is due when the claim has run out. Whether it was killed.
    async fn handle_twice(
        &self,
        person: &Person,
        settings: &Settings,
        stuck: impl Future<Output = ()>,
    ) -> bool {
        let function = FunctionUnderTest::spawn(binaries::path("messages"), settings.variables());
        let is_stuck = tokio::select! {
            answer = function.invoke(&person.batch) => {
                assert_eq!(answer, failures(&[]));
                false
            }
            () = stuck => true,
        };
        function.process().signal(Signal::KILL);
        within_patience("the end of the function", function.wait_exit()).await;
        self.harness.wechat.clear_faults();
        // Lambda hands the batch over again.
        let next = self.function();
        assert_eq!(next.invoke(&person.batch).await, failures(&[]));
        self.end_claims(person).await;
        let report = next.invoke(&json!({"task": "send-messages"})).await;
        assert_eq!(report["not_stored"], 0, "{report}");
        is_stuck
    }

    /// What has to hold wherever a function was killed.
    async fn assert_well(&self, person: &Person, what: &str) {
        let (status, delivered) = (self.status(person).await, self.delivered(person));
        let (ours, theirs) = self.consents(person).await;
        let announced = self.announced().await;
        let has = |kind: &str| announced.iter().any(|it| it == kind);
        match status.as_str() {
            "sent" => {
                assert_eq!((delivered, ours, theirs), (1, 0, 0), "{what}");
                assert!(
                    has("message.sent") && !has("message.failed"),
                    "{what}: {announced:?}"
                );
            }
            "unconfirmed" => {
                assert!(delivered <= 1, "{what}: sent {delivered} times");
                assert_eq!(ours, 0, "{what}");
                assert!(
                    has("message.failed") && !has("message.sent"),
                    "{what}: {announced:?}"
                );
            }
            other => panic!("{what}: {other}"),
        }
    }
}

/// As Lambda hands messages over.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
fn handed_over(bodies: &[&str]) -> Value {
    let record = |(index, body): (usize, &&str)| {
        json!({
            "messageId": format!("m{index}"),
            "receiptHandle": "r",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1795710270000"},
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:messages",
            "awsRegion": "us-east-1",
        })
    };
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

fn failures(ids: &[&str]) -> Value {
    let failures = ids.iter().map(|id| json!({"itemIdentifier": id}));
    json!({"batchItemFailures": failures.collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_batch_only_what_is_not_done_is_named() {
    let all = MessageHarness::start().await;
    let function = all.function();
    let (alice, bob) = (all.person("alice").await, all.person("bob").await);
    let body = |person: &Person| {
        person.batch["Records"][0]["body"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let bodies = [&*body(&alice), "hunter2", &*body(&bob), &*body(&alice)];
    let answer = function.invoke(&handed_over(&bodies)).await;
    assert_eq!(answer, failures(&["m1"]));
    for person in [&alice, &bob] {
        assert_eq!(
            (all.status(person).await.as_str(), all.delivered(person)),
            ("sent", 1)
        );
    }
    assert_eq!(all.announced().await, ["message.sent", "message.sent"]);
    let logs = function.logs();
    let open_id = all.harness.wechat.open_id("alice", None).unwrap();
    for secret in ["hunter2", "一箱苹果", open_id.as_str()] {
        assert!(!logs.contain(secret), "{secret}");
    }
    assert!(logs.contain("an unreadable message"));
    logs.assert_all_json();
}

/// Where a function is killed.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At a write of the table.
    Table,
    /// When it tells how the message ended.
    Events,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_killed_at_any_write_sends_at_most_once_and_loses_no_consent() {
    let all = MessageHarness::start().await;
    let mut killed = 0;
    for place in [Place::Table, Place::Events] {
        for carried_out in [false, true] {
            for at in 0.. {
                let what = format!("killed at {place:?} {at}, carried out: {carried_out}");
                let name = format!("{place:?}-{carried_out}-{at}");
                let person = all.person(&name).await;
                all.announced().await;
                let server = all.url.strip_suffix("/sqs/0/hooks").unwrap().to_owned();
                let target = match place {
                    Place::Table => all.harness.table.url(),
                    Place::Events => server,
                };
                let (writes, url) = Writes::start(target, at, carried_out).await;
                let settings = all.harness.settings.clone();
                let settings = match place {
                    Place::Table => settings.with("AWS_ENDPOINT_URL_DYNAMODB", &url),
                    Place::Events => {
                        settings.with("WEBHOOK_QUEUE_URL", &format!("{url}/sqs/0/hooks"))
                    }
                };
                let stuck = writes.stuck.notified();
                let is_killed = all.handle_twice(&person, &settings, stuck).await;
                all.assert_well(&person, &what).await;
                if !is_killed {
                    assert_eq!(all.status(&person).await, "sent", "{what}");
                    break;
                }
                killed += 1;
                // Nothing is in doubt before the claim is there, and when the end is.
                let is_certain = match place {
                    Place::Table => {
                        at == 0 || (at == 1 && !carried_out) || (at == 2 && carried_out) || at > 2
                    }
                    Place::Events => true,
                };
                if is_certain {
                    assert_eq!(all.status(&person).await, "sent", "{what}");
                }
            }
        }
    }
    // The order, the claim, the end, and that it was told; and the event.
    assert_eq!(killed, 2 * 4 + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_killed_while_wechat_has_the_message_does_not_send_it_again() {
    let all = MessageHarness::start().await;
    for errcode in [None, Some(-1)] {
        let person = all.person(&format!("errcode-{errcode:?}")).await;
        all.announced().await;
        let before = all.harness.wechat.calls(SEND);
        // Without an errcode it is carried out.
        let slow = Fault {
            path: Some(SEND.to_owned()),
            latency_ms: Some(60_000),
            errcode,
            ..Fault::default()
        };
        all.harness.wechat.set_faults([slow]).unwrap();
        let settings = all
            .harness
            .settings
            .clone()
            .with("WECHAT_TIMEOUT_MS", "20000");
        let called = async {
            while all.harness.wechat.calls(SEND) == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(all.handle_twice(&person, &settings, called).await);
        assert_eq!(all.status(&person).await, "unconfirmed");
        assert_eq!(all.harness.wechat.calls(SEND), before + 1);
        assert_eq!(all.delivered(&person), usize::from(errcode.is_none()));
        all.assert_well(&person, &format!("{errcode:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_table_messages_stay_in_the_queue() {
    let all = MessageHarness::start().await;
    let (function, person) = (all.function(), all.person("alice").await);
    // Connects.
    function.invoke(&handed_over(&[])).await;
    all.harness.dynamodb_proxy.set(Broken::Refuse).await;
    all.harness.dynamodb_proxy.cut_and_wait().await;
    assert_eq!(function.invoke(&person.batch).await, failures(&["m0"]));
    let task = json!({"task": "send-messages"}).to_string();
    let reply = format!("{:?}", function.measure(task.as_bytes()).await.reply);
    assert!(reply.contains("Error"), "{reply}");
    all.harness.dynamodb_proxy.set(Broken::None).await;
    assert_eq!(function.invoke(&person.batch).await, failures(&[]));
    assert_eq!(
        (all.status(&person).await.as_str(), all.delivered(&person)),
        ("sent", 1)
    );
    let logs = function.logs();
    for line in [
        "a message can't be moved on",
        "messages that are due can't be found",
    ] {
        assert!(logs.contain(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_something_else_fails() {
    let all = MessageHarness::start().await;
    let function = all.function();
    for event in [
        &br#"{"Records":[{"eventSource":"aws:s3"}]}"#[..],
        br#"{"task":"x"}"#,
    ] {
        let reply = format!("{:?}", function.measure(event).await.reply);
        assert!(reply.contains("Error"), "{reply}");
    }
    assert_eq!(
        function.invoke(&json!({"Records": []})).await,
        failures(&[])
    );
}

/// A page of the documents, and what its examples of functions send, in Python to `make run`, in Node to
/// nobody: its client is not among the tools.
async fn examples(page: &str) {
    let (folder, path) = (folder(), binaries::workspace().join(page));
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    let control = |method, path: &str| {
        gateway
            .api
            .request(method, &format!("/_wechat/_control/{path}"))
    };
    let login = gateway.api.login(&gateway.code("alice").await).await;
    let user = login.ok(200)["user"]["id"].as_str().unwrap().to_owned();
    let token = login.data()["token"].as_str().unwrap();
    let answers = json!({"user": "alice", "answers": {TEMPLATE: "accept"}});
    let (status, ..) = control("POST", "subscriptions")
        .json(&answers)
        .send_raw()
        .await;
    assert_eq!(status, 200);
    let report = json!({"requestId": "request-1", "results": {TEMPLATE: "accept"}});
    let reported = gateway.api.request("PUT", "/api/v1/user/subscriptions");
    reported.bearer(token).json(&report).send().await.ok(200);

    let base = &gateway.api.url;
    let order = json!({"id": 7, "title": "一箱苹果", "shipped_at": "2026-11-27 10:00", "shippedAt": "2026-11-27 10:00"});
    let written = |language: &str, file: &str| {
        let found = snippets(&path, language);
        let [text] = &found[..] else {
            panic!("{page}: not one example in {language}")
        };
        std::fs::write(folder.path().join(file), text).unwrap();
    };
    written("python", "shop.py");
    let mut python = Command::new(tool("venv/bin/python"));
    python
        .current_dir(folder.path())
        .args([
            "-c",
            "import json, sys, shop; shop.tell(sys.argv[1], json.loads(sys.argv[2]))",
        ])
        .args([&user, &order.to_string()])
        .envs([
            ("TEMPLATE_ID", TEMPLATE.to_owned()),
            ("MESSAGE_QUEUE_URL", format!("{base}/_queue/0/messages")),
            ("AWS_ENDPOINT_URL_SQS", format!("{base}/_queue")),
        ])
        .envs(
            [
                "AWS_REGION",
                "AWS_DEFAULT_REGION",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
            ]
            .map(|name| (name, "local")),
        );
    let output = python.output().unwrap();
    assert!(
        output.status.success(),
        "{page}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let delivered = async {
        loop {
            let (_, _, body) = control("GET", "messages?user=alice").send_raw().await;
            let body: Value = serde_json::from_slice(&body).unwrap();
            if let Some(message) = body["messages"].get(0) {
                return message.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let message = within_patience("the message", delivered).await;
    assert_eq!(message["data"]["thing1"], "一箱苹果");
    assert_eq!(message["page"], "pages/order/index?id=7");

    written("js", "shop.js");
    let client = folder.path().join("node_modules/@aws-sdk/client-sqs");
    std::fs::create_dir_all(&client).unwrap();
    let stand_in =
        "exports.SendMessageCommand = class { constructor(input) { this.input = input } }
exports.SQSClient = class { async send(command) { console.log(JSON.stringify(command.input)) } }";
    std::fs::write(client.join("index.js"), stand_in).unwrap();
    let mut node = Command::new(tool("node"));
    node.current_dir(folder.path())
        .args([
            "-e",
            "require('./shop.js').tell(process.argv[1], JSON.parse(process.argv[2]))",
        ])
        .args([&user, &order.to_string()])
        .envs([("TEMPLATE_ID", TEMPLATE), ("MESSAGE_QUEUE_URL", "q")]);
    let output = node.output().unwrap();
    assert!(
        output.status.success(),
        "{page}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sent["QueueUrl"], "q");
    let body: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
    // The same message as that of the other example.
    let wanted = json!({
        "idempotencyKey": "order-7:shipped", "userId": user, "type": "subscribe", "templateId": TEMPLATE,
        "page": "pages/order/index?id=7", "data": {"thing1": "一箱苹果", "time2": "2026-11-27 10:00"},
    });
    assert_eq!(body, wanted);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_the_documents_order_messages() {
    for page in ["docs/messages.md", "docs/zh/messages.md"] {
        examples(page).await;
    }
}
