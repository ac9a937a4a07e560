//! The queue of webhooks, and how the function is handed its messages.

use serde_json::{Value, json};

use super::{SOURCE, Template, rendered};

/// For how long SQS can hide a message, in seconds.
const LONGEST_PAUSE: u64 = 12 * 3600;

fn properties(template: &Template, resource: &str) -> Value {
    template.all()[resource]["Properties"].clone()
}

fn function(template: &Template) -> Value {
    let functions = template.functions().into_iter();
    let mut found = functions.filter(|function| function.package == "webhooks");
    found.next().unwrap().properties.clone()
}

#[test]
fn messages_stay_hidden_while_they_are_handled_and_outlive_their_attempts() {
    let template = rendered(&[("Webhooks", "[]")]);
    let (queue, function) = (properties(&template, "WebhookQueue"), function(&template));
    let number = |value: &Value| value.as_u64().unwrap();
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert!(number(&queue["VisibilityTimeout"]) >= 6 * number(&function["Timeout"]));
    let tried = number(&SOURCE["Parameters"]["WebhookRetrySeconds"]["MaxValue"]);
    assert!(number(&queue["MessageRetentionPeriod"]) > tried + LONGEST_PAUSE);
    let redrive = &queue["RedrivePolicy"];
    assert_eq!(redrive["deadLetterTargetArn"], "WebhookDeadLetters.Arn");
    // About 20 attempts in three days, and one more for each further 11 hours.
    assert!(number(&redrive["maxReceiveCount"]) > 20 + tried / (11 * 3600));
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
        let types = json!(["ReportBatchItemFailures"]);
        assert_eq!(source["FunctionResponseTypes"], types);
    }
}
