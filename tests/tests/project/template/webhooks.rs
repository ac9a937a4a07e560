//! The queue of webhooks, and how the function is handed its messages.

use serde_json::{Value, json};

use super::{Template, rendered};

/// In seconds.
const WEEK: u64 = 7 * 24 * 3600;

fn properties(template: &Template, resource: &str) -> Value {
    template.all()[resource]["Properties"].clone()
}

fn function(template: &Template) -> Value {
    let functions = template.functions().into_iter();
    let mut found = functions.filter(|function| function.package == "webhooks");
    found.next().unwrap().properties.clone()
}

#[test]
fn messages_stay_hidden_while_they_are_handled_and_outlive_an_outage() {
    let template = rendered(&[("Webhooks", "[]")]);
    let (queue, function) = (properties(&template, "WebhookQueue"), function(&template));
    let number = |value: &Value| value.as_u64().unwrap();
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * number(&function["Timeout"]));
    let redrive = &queue["RedrivePolicy"];
    assert_eq!(redrive["deadLetterTargetArn"], "WebhookDeadLetters.Arn");
    // A message that is moved to the dead letters keeps its age.
    let received = number(&redrive["maxReceiveCount"]) * number(&queue["VisibilityTimeout"]);
    assert!(number(&queue["MessageRetentionPeriod"]) > received);
    let dead = number(&properties(&template, "WebhookDeadLetters")["MessageRetentionPeriod"]);
    assert!(dead > number(&queue["MessageRetentionPeriod"]) + WEEK);
    for name in ["WebhookQueue", "WebhookDeadLetters"] {
        assert_eq!(properties(&template, name)["SqsManagedSseEnabled"], true);
    }
}

#[test]
fn messages_are_handed_over_only_where_there_are_receivers() {
    for (receivers, enabled) in [("", false), ("[]", true)] {
        let function = function(&rendered(&[("Webhooks", receivers)]));
        let source = &function["Events"]["Queue"]["Properties"];
        assert_eq!(source["Enabled"], enabled, "{receivers}");
        assert_eq!(source["Queue"], "WebhookQueue.Arn");
        let schedule = &function["Events"]["Retry"]["Properties"];
        assert_eq!(schedule["Enabled"], enabled, "{receivers}");
        let types = json!(["ReportBatchItemFailures"]);
        assert_eq!(source["FunctionResponseTypes"], types);
    }
}

#[test]
fn lag_and_a_function_that_does_not_start_have_alarms() {
    let template = rendered(&[("AlarmEmail", "ops@example.com"), ("Webhooks", "[]")]);
    let watched = |alarm: &str| {
        let alarm = properties(&template, alarm);
        let metric = alarm["MetricName"].as_str().unwrap().to_owned();
        (metric, alarm["Dimensions"][0]["Value"].clone())
    };
    let (metric, queue) = watched("WebhooksLagAlarm");
    assert_eq!(metric, "ApproximateAgeOfOldestMessage");
    assert_eq!(queue, "WebhookQueue.QueueName");
    let (metric, function) = watched("WebhooksErrorsAlarm");
    assert_eq!(
        (metric.as_str(), function),
        ("Errors", json!("WebhooksFunction"))
    );
}
