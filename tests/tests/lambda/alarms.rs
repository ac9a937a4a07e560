//! Every metric that an alarm watches exists: a function writes it when things go wrong, or AWS does.

#[expect(dead_code, reason = "other tests look at more of a template")]
#[path = "../project/template/render.rs"]
mod render;
#[path = "../project/template/yaml.rs"]
mod yaml;

use std::{collections::BTreeSet, fs};

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::{
    binaries::workspace,
    dynamodb::TABLE,
    events::load,
    logs::Logs,
    runtime_api::FunctionUnderTest,
    settings::APP_ID,
    webhooks::{Behaviour, Receiver},
    wire_proxy::Fault as Broken,
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    webhooks::{Event, QueuedEvent},
};
use wechat_simulator::Fault;

use crate::{
    harness::{LambdaHarness, answer, functions, login_event},
    metrics::{recorded, settled},
};
use render::Template;

/// What the namespace of our metrics is called here.
const STACK: &str = "AWS::StackName";

/// The metrics of AWS that alarms watch, with their dimensions.
const OF_AWS: [(&str, &str, &[&str]); 13] = [
    // https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    ("AWS/ApiGateway", "5xx", &["ApiId"]),
    ("AWS/ApiGateway", "Count", &["ApiId"]),
    ("AWS/ApiGateway", "Latency", &["ApiId"]),
    // https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Throttles", &[]),
    ("AWS/Lambda", "ConcurrentExecutions", &[]),
    ("AWS/Lambda", "Errors", &["FunctionName"]),
    ("AWS/Lambda", "Invocations", &["FunctionName"]),
    ("AWS/Lambda", "IteratorAge", &["FunctionName"]),
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &["QueueName"],
    ),
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    ("AWS/DynamoDB", "ReadThrottleEvents", &["TableName"]),
    ("AWS/DynamoDB", "WriteThrottleEvents", &["TableName"]),
    // https://docs.aws.amazon.com/acm/latest/userguide/cloudwatch-metrics.html
    (
        "AWS/CertificateManager",
        "DaysToExpiry",
        &["CertificateArn"],
    ),
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", &["QueueName"]),
];

/// A metric with its dimensions.
type Watched = (String, String, Vec<(String, String)>);

/// With everything that has an alarm.
const ALL: [(&str, &str); 3] = [
    ("AlarmEmail", "ops@example.com"),
    ("NoTrafficHours", "3"),
    ("CertificateArn", "arn"),
];

/// The template as it is deployed with these parameters.
pub fn template(parameters: &[(&str, &str)]) -> Template {
    let text = fs::read_to_string(workspace().join("template.yaml")).unwrap();
    Template::render(&yaml::parse(&text), parameters)
}

/// The names of all alarms without the stack's.
pub fn names() -> Vec<String> {
    let alarms = template(&ALL).resources("AWS::CloudWatch::Alarm");
    let name = |(_, alarm): (String, Value)| {
        let name = alarm["AlarmName"].as_str().unwrap().to_owned();
        name.strip_prefix("AWS::StackName-").unwrap().to_owned()
    };
    alarms.into_iter().map(name).collect()
}

/// The queries of the dashboard, by their titles.
pub fn queries() -> Vec<(String, String)> {
    let dashboards = template(&[]).resources("AWS::CloudWatch::Dashboard");
    let body = dashboards[0].1["DashboardBody"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let widgets = body["widgets"].as_array().unwrap().iter();
    let query = |widget: &Value| {
        let text = |name| Some(widget["properties"][name].as_str()?.to_owned());
        text("title").zip(text("query"))
    };
    widgets.filter_map(query).collect()
}

/// The metrics that the alarms of the template watch.
fn watched() -> BTreeSet<Watched> {
    let alarms = template(&ALL)
        .resources("AWS::CloudWatch::Alarm")
        .into_iter();
    let metrics = alarms.flat_map(|(_, alarm)| {
        let several = alarm["Metrics"].as_array().cloned().unwrap_or_default();
        let several = several
            .iter()
            .map(|metric| metric["MetricStat"]["Metric"].clone());
        several.chain([alarm]).collect::<Vec<_>>()
    });
    let metrics = metrics.filter(|metric| metric["MetricName"].is_string());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metrics
        .map(|metric| {
            let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
            let dimensions = dimensions.map(|one| (text(&one["Name"]), text(&one["Value"])));
            (
                text(&metric["Namespace"]),
                text(&metric["MetricName"]),
                dimensions.collect(),
            )
        })
        .collect()
}

/// The log of a function of login to which everything happens that there is an alarm for. One instance
/// is no quorum: its breaker opens by itself.
pub async fn faults() -> Logs {
    let mut harness = LambdaHarness::start().await;
    for (name, value) in [
        ("METRICS_NAMESPACE", STACK),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "4"),
        ("WECHAT_MAX_CONCURRENCY", "1"),
        ("BREAKER_MIN_CALLS", "1"),
    ] {
        harness.settings = harness.settings.with(name, value);
    }
    let login = harness.function("login");
    // Too many at once.
    set_fault(
        &harness,
        Fault {
            latency_ms: Some(1000),
            ..Fault::default()
        },
    );
    join_all((0..4).map(|_| log_in(&harness, &login))).await;
    // An AppSecret that is not WeChat's.
    set_fault(
        &harness,
        Fault {
            errcode: Some(40125),
            ..Fault::default()
        },
    );
    log_in(&harness, &login).await;
    // WeChat does not answer.
    harness.wechat_proxy.set(Broken::Refuse).await;
    harness.wechat_proxy.cut_and_wait().await;
    for _ in 0..3 {
        log_in(&harness, &login).await;
    }
    harness.redis.kill();
    log_in(&harness, &login).await;
    let mut logs = settled(&login).await;
    logs.extend(failed_changes(&harness).await);
    logs
}

/// The log of the worker, to which changes are handed over that can't be read, or handled.
async fn failed_changes(harness: &LambdaHarness) -> Logs {
    let worker = harness.function("worker");
    let user = "0193c0de-0000-7000-8000-00000000abcd";
    let session = "0193c0de-0000-7000-8000-000000000002";
    let values = [("userId", user), ("sessionId", session)];
    let mut changes = load("worker", "changes", &values);
    changes["Records"][0] = Value::Null;
    // Not too long ago for an entry in the audit trail.
    changes["Records"][2]["dynamodb"]["NewImage"]["updatedAt"]["S"] = "2099-12-31T00:00:00Z".into();
    worker.invoke(&changes).await;
    worker.process().wait_for_line(r#""route":"stream""#).await;
    // A deletion whose row is of no form that this version knows.
    let row = [
        ("pk", "SAGA#00000000000000000000000000000000"),
        ("sk", "SAGA"),
        ("id", "00000000000000000000000000000000"),
        ("gsi1pk", "SAGAS"),
        ("gsi1sk", "2026-01-01T00:00:00.000Z#"),
    ];
    let put = harness.table.client().put_item().table_name(TABLE);
    let put = row.into_iter().fold(put, |put, (name, text)| {
        put.item(name, AttributeValue::S(text.to_owned()))
    });
    put.send().await.unwrap();
    worker.invoke(&json!({"task": "resume-sagas"})).await;
    let schedule = r#""route":"schedule""#;
    worker.process().wait_for_line(schedule).await;
    harness.dynamodb_proxy.set(Broken::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    worker.invoke(&changes).await;
    let failed = "a reaction to a change failed";
    worker.process().wait_for_line(failed).await;
    worker.logs()
}

/// The log of an authorizer that is asked about a token which nobody has issued.
async fn unauthorized() -> Logs {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("METRICS_NAMESPACE", STACK);
    let authorizer = harness.function("authorizer");
    let event = load("authorizer", "rest-token", &[("accessToken", "forged")]);
    authorizer.measure(event.to_string().as_bytes()).await;
    authorizer.process().wait_for_line("unauthorized").await;
    authorizer.logs()
}

fn set_fault(harness: &LambdaHarness, fault: Fault) {
    harness.wechat.set_faults([fault]).unwrap();
}

async fn log_in(harness: &LambdaHarness, login: &FunctionUnderTest) {
    answer(login, &login_event(&harness.code("alice"))).await;
}

/// The log of a function of webhooks whose receiver fails, and then wants no more events.
pub async fn given_up() -> Logs {
    let mut harness = LambdaHarness::start().await;
    let receiver = Receiver::start().await;
    receiver.set(Behaviour::status(500));
    let receivers = json!([{
        "id": "gone", "url": format!("http://{}/", receiver.address),
        "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    }]);
    for (name, value) in [
        ("METRICS_NAMESPACE", STACK),
        ("WEBHOOK_PRIVATE_NETWORKS", "127.0.0.0/8"),
        ("WEBHOOKS", &receivers.to_string()),
    ] {
        harness.settings = harness.settings.with(name, value);
    }
    let queued = QueuedEvent {
        event: Event::new("user.created", &["a"], Timestamp::UNIX_EPOCH, &json!({})),
        receiver: Some("gone".to_owned()),
        is_redelivery: false,
    };
    let record = json!({"messageId": "1", "receiptHandle": "1", "body": queued.to_message()});
    let webhooks = harness.function("webhooks");
    let event = json!({ "Records": [record] });
    webhooks.invoke(&event).await;
    receiver.set(Behaviour::status(410));
    let answer = webhooks.invoke(&event).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    // The line of the second request.
    webhooks
        .process()
        .wait_for_line(r#""outcome":"given_up""#)
        .await;
    webhooks.logs()
}

/// The log of a function of messages that is handed something unreadable, and an order for a user who has
/// not agreed to a message; and that finds it due for two hours.
pub async fn unsent() -> Logs {
    let harness = LambdaHarness::start().await;
    let user = harness.log_in(&harness.function("login"), "alice").await;
    let order = json!({
        "idempotencyKey": "order-7:shipped", "userId": user.user_id(), "type": "subscribe",
        "templateId": "priTmplId-0123456789abcdefghijklmnopqrstuvw", "data": {"thing1": "x"},
    });
    let record = |id: &str, body: &str| json!({"messageId": id, "receiptHandle": id, "body": body});
    let messages = harness.function("messages");
    let records = [record("1", "hunter2"), record("2", &order.to_string())];
    let answer = messages.invoke(&json!({ "Records": records })).await;
    let failed = json!({"batchItemFailures": [{"itemIdentifier": "1"}]});
    assert_eq!(answer, failed);
    make_due(
        &harness,
        Clock::System.now() - SignedDuration::from_hours(2),
    )
    .await;
    let report = messages.invoke(&json!({"task": "send-messages"})).await;
    assert_eq!(report["refused"], 1, "{report}");
    messages
        .process()
        .wait_for_line(r#""route":"schedule""#)
        .await;
    messages.logs()
}

/// Has the only message of the table wait since then.
async fn make_due(harness: &LambdaHarness, since: Timestamp) {
    let rows = harness.table.items_under("USER#").await.into_iter();
    let mut messages = rows.filter(|row| row["sk"].as_s().unwrap().starts_with("MESSAGE#"));
    let row = messages.next().unwrap();
    let [user, id] = ["pk", "sk"].map(|name| row[name].as_s().unwrap().split_once('#').unwrap().1);
    let text = |text: String| AttributeValue::S(text);
    let update = harness.table.client().update_item().table_name(TABLE);
    let update = update
        .key("pk", row["pk"].clone())
        .key("sk", row["sk"].clone())
        .update_expression("SET #status = :queued, dueAt = :due, gsi1pk = :pk, gsi1sk = :sk")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":queued", text("queued".to_owned()))
        .expression_attribute_values(":due", text(since.to_string()))
        .expression_attribute_values(":pk", text(format!("MESSAGE_DUE#{APP_ID}")))
        .expression_attribute_values(":sk", text(format!("{since:.3}#{user}#{id}")));
    update.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_an_alarm_is_written_by_a_function_or_by_aws() {
    let mut written = recorded(&faults().await, STACK);
    written.append(&mut recorded(&unauthorized().await, STACK));
    written.extend(recorded(&given_up().await, STACK));
    let event_functions = ["worker", "webhooks", "messages"].map(str::to_owned);
    let functions: Vec<_> = functions().chain(event_functions).collect();
    let exists = |(namespace, name, dimensions): &Watched| {
        if namespace != STACK {
            let names: Vec<_> = dimensions.iter().map(|(name, _)| name.as_str()).collect();
            return OF_AWS.contains(&(namespace, name, &names));
        }
        // Each function writes its own name.
        let as_login = dimensions.iter().map(|(name, value)| {
            let of_function = name == "function" && functions.contains(value);
            let value = if of_function { "login" } else { value };
            (name.clone(), value.to_owned())
        });
        written.contains_key(&(name.clone(), as_login.collect()))
            || written.contains_key(&(name.clone(), dimensions.clone()))
    };
    let watched = watched();
    let missing: Vec<_> = watched.iter().filter(|metric| !exists(metric)).collect();
    assert!(missing.is_empty(), "{missing:#?} not in {written:#?}");
    assert!(watched.iter().filter(|(space, ..)| space == STACK).count() > 10);
    let open = written[&("breaker_state".to_owned(), Vec::new())].iter();
    assert!(open.fold(0.0, |most: f64, state| most.max(*state)) >= 2.0);
}
