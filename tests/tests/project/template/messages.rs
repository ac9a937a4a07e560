//! The queue of messages to users: who puts them there, and how the function is handed them.

use serde_json::{Value, json};

use super::{Template, rendered};

/// In seconds.
const WEEK: u64 = 7 * 24 * 3600;
const ON: [(&str, &str); 2] = [("UserMessages", "on"), ("AlarmEmail", "ops@example.com")];

fn properties(template: &Template, resource: &str) -> Value {
    template.all()[resource]["Properties"].clone()
}

fn function(template: &Template, package: &str) -> Value {
    let functions = template.functions().into_iter();
    let mut found = functions.filter(|function| function.package == package);
    found.next().unwrap().properties.clone()
}

#[test]
fn messages_stay_hidden_while_they_are_handled_and_outlive_an_outage() {
    let template = rendered(&ON);
    let queue = properties(&template, "MessageQueue");
    let function = function(&template, "messages");
    let number = |value: &Value| value.as_u64().unwrap();
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * number(&function["Timeout"]));
    let redrive = &queue["RedrivePolicy"];
    assert_eq!(redrive["deadLetterTargetArn"], "MessageDeadLetters.Arn");
    // A message that is moved to the dead letters keeps its age.
    let received = number(&redrive["maxReceiveCount"]) * number(&queue["VisibilityTimeout"]);
    assert!(number(&queue["MessageRetentionPeriod"]) > received);
    let dead = number(&properties(&template, "MessageDeadLetters")["MessageRetentionPeriod"]);
    assert!(dead > number(&queue["MessageRetentionPeriod"]) + WEEK);
    for name in ["MessageQueue", "MessageDeadLetters"] {
        assert_eq!(properties(&template, name)["SqsManagedSseEnabled"], true);
    }
}

#[test]
fn messages_are_handed_over_and_exported_only_where_they_are_on() {
    for (value, is_on) in [("off", false), ("on", true)] {
        let template = rendered(&[("UserMessages", value)]);
        let function = function(&template, "messages");
        let source = &function["Events"]["Queue"]["Properties"];
        assert_eq!(source["Enabled"], is_on, "{value}");
        assert_eq!(source["Queue"], "MessageQueue.Arn");
        let types = json!(["ReportBatchItemFailures"]);
        assert_eq!(source["FunctionResponseTypes"], types);
        let schedule = &function["Events"]["Due"]["Properties"];
        assert_eq!(schedule["Enabled"], is_on, "{value}");
        assert_eq!(schedule["Input"], r#"{"task":"send-messages"}"#);
        for name in ["MessageQueueUrl", "MessageQueueArn"] {
            assert_eq!(template.outputs().contains_key(name), is_on, "{name}");
        }
    }
}

#[test]
fn administrators_put_messages_into_the_queue_only_where_they_are_on() {
    for (value, is_on) in [("off", false), ("on", true)] {
        let template = rendered(&[("UserMessages", value)]);
        let users = template.functions().into_iter();
        let mut users = users.filter(|function| function.package == "users");
        let variables = users.next().unwrap().variables();
        assert_eq!(variables["USER_MESSAGES"], value);
        let queue = variables.get("MESSAGE_QUEUE_URL").map(String::as_str);
        assert_eq!(queue, is_on.then_some("MessageQueue"));
    }
}

#[test]
fn lag_dead_letters_and_a_function_that_does_not_start_have_alarms() {
    let template = rendered(&ON);
    let watched = |alarm: &str| {
        let alarm = properties(&template, alarm);
        let metric = alarm["MetricName"].as_str().unwrap().to_owned();
        (metric, alarm["Dimensions"][0]["Value"].clone())
    };
    for (alarm, metric, value) in [
        (
            "MessagesLagAlarm",
            "ApproximateAgeOfOldestMessage",
            "MessageQueue.QueueName",
        ),
        (
            "MessagesDeadAlarm",
            "ApproximateNumberOfMessagesVisible",
            "MessageDeadLetters.QueueName",
        ),
        ("MessagesErrorsAlarm", "Errors", "MessagesFunction"),
    ] {
        assert_eq!(watched(alarm), (metric.to_owned(), json!(value)), "{alarm}");
    }
}
