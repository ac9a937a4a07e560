//! The worker's binary over the Runtime API, with the changes of a real table.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    binaries,
    changes::{Changes, event, failures, sequence},
    dynamodb::TABLE,
    events::HttpApi,
    runtime_api::FunctionUnderTest,
    settings::{APP_ID, AWS_ENVIRONMENT},
    test_app::Tokens,
    webhooks::{queue, serve},
    wire_proxy::Fault,
    within_patience,
};
use local::MessageQueue;
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::{
    clock::Clock, config::Env, instance::Instance, queue::Queue, random::Random,
    webhooks::QueuedEvent,
};

use crate::{
    harness::{LambdaHarness, answer, logout_event},
    writes::{Writes, end_leases},
};

/// What somebody does to whom much happens, and the changes of it.
async fn a_busy_day(harness: &LambdaHarness, changes: &mut Changes) -> (Tokens, Vec<Value>) {
    let [login, token, account, user_data] =
        ["login", "token", "account", "user-data"].map(|name| harness.function(name));
    let first = harness.log_in(&login, "alice").await;
    let tokens = harness.log_in(&login, "alice").await;
    answer(&token, &logout_event(&first)).await.ok(200);
    for (method, version) in [("PUT", json!({"version": 3})), ("DELETE", Value::Null)] {
        let consent = HttpApi::new(method, "/api/v1/user/consents/privacy");
        let consent = consent.bearer(&tokens.access).json(&version);
        answer(&account, &consent.event()).await.ok(200);
    }
    let code = harness.wechat.phone_code("alice", Some(APP_ID)).unwrap();
    let phone = HttpApi::new("POST", "/api/v1/user/phone").bearer(&tokens.access);
    let phone = phone.json(&json!({ "code": code })).event();
    answer(&user_data, &phone).await.ok(200);
    (tokens, changes.read())
}

/// The entries of all trails: what happened, by the sort key.
async fn entries(harness: &LambdaHarness) -> BTreeMap<String, String> {
    let rows = harness.table.items_under("USER#").await.into_iter();
    let text = |value: &AttributeValue| value.as_s().unwrap().clone();
    rows.filter(|row| text(&row["sk"]).starts_with("AUDIT#"))
        .map(|row| (text(&row["sk"]), text(&row["event"])))
        .collect()
}

/// What happened, sorted.
async fn events(harness: &LambdaHarness) -> Vec<String> {
    let mut events: Vec<_> = entries(harness).await.into_values().collect();
    events.sort();
    events
}

const BUSY_DAY: [&str; 6] = [
    "consent_given",
    "consent_withdrawn",
    "login",
    "login",
    "logout",
    "phone_bound",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_one_entry_and_one_log_line_however_it_is_delivered() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (tokens, records) = a_busy_day(&harness, &mut changes).await;
    let worker = harness.function("worker");
    let backwards: Vec<_> = records.iter().rev().cloned().collect();
    let twice: Vec<_> = records.iter().chain(&records).cloned().collect();
    for records in [&backwards, &records, &twice] {
        let answered = worker.invoke(&event(records)).await;
        assert_eq!(failures(&answered), [] as [&str; 0]);
        assert_eq!(events(&harness).await, BUSY_DAY);
    }
    let logs = worker.logs();
    let lines = logs.json_where("message", &"activity".into());
    assert_eq!(lines.len(), BUSY_DAY.len(), "{lines:?}");
    assert!(lines.iter().all(|line| line["user_id"] == tokens.user_id()));
    let rows = harness.table.items_under("USER#").await;
    let number = rows.iter().find_map(|row| row.get("phone")).unwrap();
    let number = number.as_s().unwrap();
    assert!(!logs.contain(number), "a phone number is in the log");
    logs.assert_all_json();
    // Its own entries come back as changes, and are of no interest.
    let own = changes.read();
    assert!(!own.is_empty());
    worker.invoke(&event(&own)).await;
    assert_eq!(events(&harness).await, BUSY_DAY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_records_are_skipped_and_logged_and_block_nothing() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (tokens, mut records) = a_busy_day(&harness, &mut changes).await;
    let profile = records
        .iter()
        .find(|it| it["dynamodb"]["Keys"]["sk"]["S"] == "PROFILE");
    let mut later = profile.unwrap().clone();
    later["dynamodb"]["NewImage"]["status"] = json!({"S": "13800138000"});
    later["dynamodb"]["SequenceNumber"] = json!("100000000000000000001");
    let mut unknown = later.clone();
    unknown["dynamodb"]["Keys"]["pk"] = json!({"S": "ORDER#13800138000"});
    let poison = [
        json!(null),
        json!({"dynamodb": {"SequenceNumber": "1"}}),
        later,
        unknown,
    ];
    for (place, record) in poison.iter().enumerate() {
        records.insert(2 * place, record.clone());
    }
    let worker = harness.function("worker");
    let answered = worker.invoke(&event(&records)).await;
    assert_eq!(failures(&answered), [] as [&str; 0]);
    assert_eq!(events(&harness).await, BUSY_DAY);
    let logs = worker.logs();
    let skipped = logs.json_where("message", &"a change is skipped".into());
    let why: Vec<_> = skipped
        .iter()
        .map(|line| line["why"].as_str().unwrap())
        .collect();
    assert_eq!(why.len(), poison.len(), "{why:?}");
    for wanted in [
        "not a record of the table's stream",
        "a row of an unknown kind",
        "a row of the kind PROFILE in an unknown form",
    ] {
        assert!(why.contains(&wanted), "{wanted}: {why:?}");
    }
    for secret in ["13800138000", tokens.refresh.as_str()] {
        assert!(!logs.contain(secret), "{secret}");
    }
    let request = logs.json_where("message", &"request".into()).remove(0);
    assert_eq!(
        (&request["route"], &request["status"]),
        (&json!("stream"), &json!(200))
    );
    // Something else than changes fails, and the next event does not.
    let error = worker.measure(br#"{"Records": 7}"#).await;
    assert!(matches!(error.reply, e2e::runtime_api::Reply::Error(_)));
    let answered = worker.invoke(&event(&records)).await;
    assert_eq!(failures(&answered), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_records_are_reported_from_the_first_of_their_key_on() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (_, records) = a_busy_day(&harness, &mut changes).await;
    let worker = harness.function("worker");
    // Connects.
    worker.invoke(&event(&[])).await;
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    let answered = worker.invoke(&event(&records)).await;
    let failed = failures(&answered);
    let of_user = |record: &&Value| {
        let pk = record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap();
        pk.starts_with("USER#")
    };
    // The first change of the user's partition is the profile, to which nothing reacts.
    let wanted: Vec<_> = records.iter().filter(of_user).map(sequence).collect();
    let begins = wanted.iter().position(|it| *it == failed[0]).unwrap();
    assert!(begins <= 1, "{failed:?} of {wanted:?}");
    assert_eq!(failed, wanted[begins..]);
    worker.process().wait_for_line(r#""status":500"#).await;
    harness.dynamodb_proxy.set(Fault::None).await;
    let answered = worker.invoke(&event(&records)).await;
    assert_eq!(failures(&answered), [] as [&str; 0]);
    assert_eq!(events(&harness).await, BUSY_DAY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_write_loses_nothing_and_doubles_nothing() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (_, records) = a_busy_day(&harness, &mut changes).await;
    let mut killed = 0;
    for carried_out in [false, true] {
        for at in 0.. {
            remove_entries(&harness).await;
            let (writes, url) = Writes::start(harness.table.url(), at, carried_out).await;
            let settings = harness
                .settings
                .clone()
                .with("AWS_ENDPOINT_URL_DYNAMODB", &url);
            let worker = FunctionUnderTest::spawn(binaries::path("worker"), settings.variables());
            let batch = event(&records);
            let is_stuck = tokio::select! {
                answered = worker.invoke(&batch) => {
                    assert_eq!(failures(&answered), [] as [&str; 0]);
                    false
                }
                () = writes.stuck.notified() => true,
            };
            worker.process().signal(Signal::KILL);
            within_patience("the end of the function", worker.wait_exit()).await;
            if is_stuck {
                killed += 1;
                // Lambda hands the batch to another instance.
                let next = harness.function("worker");
                assert_eq!(failures(&next.invoke(&batch).await), [] as [&str; 0]);
            }
            let what = format!("killed at write {at}, carried out: {carried_out}");
            assert_eq!(events(&harness).await, BUSY_DAY, "{what}");
            if !is_stuck {
                break;
            }
        }
    }
    assert_eq!(killed, 2 * BUSY_DAY.len());
}

/// The queue of webhooks, where a test sees what receivers would get.
struct Hooks {
    messages: MessageQueue,
    url: String,
    queue: Queue,
}

impl Hooks {
    async fn start() -> Self {
        let messages = queue(Clock::System);
        let url = serve(&messages).await;
        let variables = AWS_ENVIRONMENT
            .into_iter()
            .chain([("WEBHOOK_QUEUE_URL", &*url)]);
        let env = Env::new(variables);
        let queue = Instance::new(env, Clock::System, Random::System).webhook_queue();
        Self {
            messages,
            url,
            queue: queue.unwrap(),
        }
    }

    /// Takes all events out of the queue: by their ids, from which receivers know repetitions, what each
    /// says.
    async fn take(&self) -> BTreeMap<String, String> {
        let mut events = BTreeMap::new();
        while !self.messages.is_empty() {
            let received = self.queue.receive(10, Duration::ZERO).await.unwrap();
            for message in &received {
                let event = QueuedEvent::read(&message.body).unwrap().event;
                let before = events.insert(event.id, event.payload.clone());
                assert!(before.is_none_or(|payload| payload == event.payload));
                self.queue.delete(&message.receipt_handle).await.unwrap();
            }
        }
        events
    }
}

/// Where a worker is killed.
#[derive(Clone, Copy, Debug)]
enum Place {
    Table,
    Queue,
}

/// Hands a batch to a worker that is killed at this write, and then to another one. Whether it came to
/// that write.
async fn handle_twice(
    harness: &LambdaHarness,
    hooks: &Hooks,
    batch: &Value,
    (place, at, carried_out): (Place, usize, bool),
) -> bool {
    let whole = harness
        .settings
        .clone()
        .with("WEBHOOK_QUEUE_URL", &hooks.url);
    let server = hooks.url.strip_suffix("/sqs/0/hooks").unwrap();
    let (target, name) = match place {
        Place::Table => (harness.table.url(), "AWS_ENDPOINT_URL_DYNAMODB"),
        Place::Queue => (server.to_owned(), "WEBHOOK_QUEUE_URL"),
    };
    let (writes, url) = Writes::start(target, at, carried_out).await;
    let url = match place {
        Place::Table => url,
        Place::Queue => format!("{url}/sqs/0/hooks"),
    };
    let settings = whole.clone().with(name, &url);
    let worker = FunctionUnderTest::spawn(binaries::path("worker"), settings.variables());
    let is_stuck = tokio::select! {
        answered = worker.invoke(batch) => {
            assert_eq!(failures(&answered), [] as [&str; 0]);
            false
        }
        () = writes.stuck.notified() => true,
    };
    worker.process().signal(Signal::KILL);
    within_patience("the end of the function", worker.wait_exit()).await;
    if is_stuck {
        let next = FunctionUnderTest::spawn(binaries::path("worker"), whole.variables());
        assert_eq!(failures(&next.invoke(batch).await), [] as [&str; 0]);
    }
    is_stuck
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_step_loses_and_doubles_no_event_of_a_receiver() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (_, records) = a_busy_day(&harness, &mut changes).await;
    let (batch, hooks) = (event(&records), Hooks::start().await);
    let settings = harness
        .settings
        .clone()
        .with("WEBHOOK_QUEUE_URL", &hooks.url);
    let worker = FunctionUnderTest::spawn(binaries::path("worker"), settings.variables());
    worker.invoke(&batch).await;
    let wanted = hooks.take().await;
    let has = |kind: &str| wanted.values().any(|payload| payload.contains(kind));
    for kind in ["user.created", "user.updated", "session.revoked"] {
        assert!(has(kind), "{kind}: {wanted:?}");
    }
    for place in [Place::Table, Place::Queue] {
        for carried_out in [false, true] {
            for at in 0.. {
                remove_entries(&harness).await;
                let killed = (place, at, carried_out);
                let is_killed = handle_twice(&harness, &hooks, &batch, killed).await;
                assert_eq!(hooks.take().await, wanted, "killed at {killed:?}");
                if !is_killed {
                    assert!(at >= wanted.len(), "killed only {at} times: {killed:?}");
                    break;
                }
            }
        }
    }
}

/// An entry is written and then taken back, if the account is gone: also by a worker that comes after one
/// that was killed in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_at_any_write_leaves_nothing_of_a_deleted_account() {
    let harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let (tokens, records) = a_busy_day(&harness, &mut changes).await;
    let delete = HttpApi::new("DELETE", "/api/v1/user").bearer(&tokens.access);
    answer(&harness.function("account"), &delete.event())
        .await
        .ok(200);
    let batch = event(&records);
    let mut killed = 0;
    for at in 0.. {
        let (writes, url) = Writes::start(harness.table.url(), at, true).await;
        let settings = harness
            .settings
            .clone()
            .with("AWS_ENDPOINT_URL_DYNAMODB", &url);
        let worker = FunctionUnderTest::spawn(binaries::path("worker"), settings.variables());
        let is_stuck = tokio::select! {
            answered = worker.invoke(&batch) => {
                assert_eq!(failures(&answered), [] as [&str; 0]);
                false
            }
            () = writes.stuck.notified() => true,
        };
        worker.process().signal(Signal::KILL);
        within_patience("the end of the function", worker.wait_exit()).await;
        if is_stuck {
            killed += 1;
            let next = harness.function("worker");
            assert_eq!(failures(&next.invoke(&batch).await), [] as [&str; 0]);
        }
        assert_eq!(entries(&harness).await, BTreeMap::new(), "killed at {at}");
        if !is_stuck {
            break;
        }
    }
    // Each entry is written, and taken back.
    assert_eq!(killed, 2 * BUSY_DAY.len());
}

async fn remove_entries(harness: &LambdaHarness) {
    for row in harness.table.items_under("USER#").await {
        if row["sk"].as_s().unwrap().starts_with("AUDIT#") {
            let delete = harness.table.client().delete_item().table_name(TABLE);
            let delete = delete
                .key("pk", row["pk"].clone())
                .key("sk", row["sk"].clone());
            delete.send().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_value_goes_when_its_row_changes_and_not_before_redis_is_there() {
    let mut harness = LambdaHarness::start().await;
    let mut changes = harness.table.changes().await;
    let login = harness.function("login");
    let tokens = harness.log_in(&login, "alice").await;
    let key = format!("{{u:{}}}:profile", tokens.user_id());
    changes.read();
    harness.set_role(&tokens.user_id(), "admin").await;
    let records = changes.read();
    let worker = harness.function("worker");
    let outdated = |value: &'static str| {
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(value);
        set
    };
    let mut connection = harness.redis.connection().await;
    outdated("outdated")
        .exec_async(&mut connection)
        .await
        .unwrap();
    let answered = worker.invoke(&event(&records)).await;
    assert_eq!(failures(&answered), [] as [&str; 0]);
    let left: Option<String> = redis::cmd("GET")
        .arg(&key)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(left, None);
    harness.redis.kill();
    let answered = worker.invoke(&event(&records)).await;
    assert_eq!(failures(&answered), [sequence(&records[0])]);
    // The audit trail does not wait for Redis.
    assert!(events(&harness).await.contains(&"role_changed".to_owned()));
}

/// Begins a deletion, and kills its process at its write number `at`.
async fn killed_deletion(harness: &LambdaHarness, tokens: &Tokens, at: usize) {
    let (writes, url) = Writes::start(harness.table.url(), at, true).await;
    let settings = harness
        .settings
        .clone()
        .with("AWS_ENDPOINT_URL_DYNAMODB", &url);
    let account = FunctionUnderTest::spawn(binaries::path("account"), settings.variables());
    let delete = HttpApi::new("DELETE", "/api/v1/user").bearer(&tokens.access);
    let event = delete.event();
    tokio::select! {
        _ = answer(&account, &event) => panic!("not killed at write {at}"),
        () = writes.stuck.notified() => {}
    }
    account.process().signal(Signal::KILL);
    within_patience("the end of the function", account.wait_exit()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_continues_what_stopped_when_its_lease_has_run_out() {
    let harness = LambdaHarness::start().await;
    let (login, worker) = (harness.function("login"), harness.function("worker"));
    let tokens = harness.log_in(&login, "alice").await;
    killed_deletion(&harness, &tokens, 4).await;
    let task = json!({"task": "resume-sagas"});
    let report = worker.invoke(&task).await;
    assert_eq!(report, json!({"ended": 0, "unfinished": 1, "failed": 0}));
    end_leases(&harness).await;
    let report = worker.invoke(&task).await;
    assert_eq!(report, json!({"ended": 1, "unfinished": 0, "failed": 0}));
    let rows = format!("{:?}", harness.table.items().await);
    assert!(!rows.contains(&tokens.user_id()), "{rows}");
    let report = worker.invoke(&task).await;
    assert_eq!(report, json!({"ended": 0, "unfinished": 0, "failed": 0}));
    let unknown = worker.measure(br#"{"task": "something else"}"#).await;
    assert!(matches!(unknown.reply, e2e::runtime_api::Reply::Error(_)));
}

/// Rows of sagas that no version of the worker could continue, in front of all others.
async fn unreadable_sagas(harness: &LambdaHarness, count: usize) {
    for number in 0..count {
        let id = format!("{number:032x}");
        let place = format!("2026-01-01T00:00:00.000Z#{id}");
        let row = [
            ("pk", format!("SAGA#{id}")),
            ("sk", "SAGA".to_owned()),
            ("id", id),
            ("kind", "account-deletion".to_owned()),
            ("direction", "sideways".to_owned()),
            ("gsi1pk", "SAGAS".to_owned()),
            ("gsi1sk", place),
        ];
        let put = harness.table.client().put_item().table_name(TABLE);
        let put = row.into_iter().fold(put, |put, (name, text)| {
            put.item(name, AttributeValue::S(text))
        });
        put.send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_that_cannot_be_read_keep_none_waiting_and_are_counted() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let tokens = harness.log_in(&login, "alice").await;
    killed_deletion(&harness, &tokens, 4).await;
    end_leases(&harness).await;
    // More than a page of them.
    unreadable_sagas(&harness, 120).await;
    let worker = harness.function("worker");
    let report = worker.invoke(&json!({"task": "resume-sagas"})).await;
    assert_eq!(report, json!({"ended": 1, "unfinished": 0, "failed": 120}));
    let rows = format!("{:?}", harness.table.items().await);
    assert!(!rows.contains(&tokens.user_id()), "{rows}");
    let lines = worker
        .logs()
        .json_where("message", &"a saga can't be read".into());
    assert_eq!(lines.len(), 120);
    let id = format!("{:032x}", 7);
    assert!(lines.iter().any(|line| line["saga_id"] == id), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_was_given_back_is_continued_with_its_change() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    let tokens = harness.log_in(&login, "alice").await;
    killed_deletion(&harness, &tokens, 4).await;
    let mut changes = harness.table.changes().await;
    // As a process does that has no time left.
    end_leases(&harness).await;
    let worker = harness.function("worker");
    let answered = worker.invoke(&event(&changes.read())).await;
    assert_eq!(failures(&answered), [] as [&str; 0]);
    let rows = format!("{:?}", harness.table.items().await);
    assert!(!rows.contains(&tokens.user_id()), "{rows}");
    // What the deletion wrote is told to nobody, but once to the log.
    for _ in 0..2 {
        worker.invoke(&event(&changes.read())).await;
    }
    assert_eq!(entries(&harness).await, BTreeMap::new());
    let lines = worker
        .logs()
        .json_where("activity", &"account_deleted".into());
    assert_eq!(lines.len(), 1, "{lines:?}");
}
