//! The alarms. That their metrics exist, tests/lambda/alarms.rs shows.

use std::{collections::BTreeSet, fs};

use e2e::binaries::workspace;
use serde_json::Value;

use super::{Template, assert_none, rendered};

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// With everything that has an alarm.
const ALL: [(&str, &str); 4] = [
    ("AlarmEmail", "ops@example.com"),
    ("NoTrafficHours", "3"),
    ("DomainName", "api.example.com"),
    (
        "CertificateArn",
        "arn:aws:acm:ap-southeast-1:111122223333:certificate/0",
    ),
];

/// Alarms that don't wait for two of three values, and why.
const OTHER_PERIODS: [(&str, &str); 7] = [
    ("certificate", "its metric is there once a day"),
    ("no-traffic", "it is about values that are missing"),
    ("wechat-misconfigured", "one such answer is the proof"),
    ("changes-skipped", "such a change does not come again"),
    (
        "webhooks-given-up",
        "each is an event that a receiver did not get",
    ),
    (
        "webhooks-retries",
        "a receiver may fail for a moment, as while it is deployed",
    ),
    (
        "api-errors-slow",
        "a quarter of an hour is one value, of at least three errors",
    ),
];

/// The alarms by their names without the stack's.
fn alarms(template: &Template) -> Vec<(String, Value)> {
    let alarms = template.resources(ALARM).into_iter();
    alarms
        .map(|(resource, alarm)| {
            let name = alarm["AlarmName"].as_str().unwrap_or_default();
            let name = name.strip_prefix("AWS::StackName-");
            let name = name.unwrap_or_else(|| panic!("{resource} is not named after the stack"));
            (name.to_owned(), alarm.clone())
        })
        .collect()
}

fn is_of_deployments(name: &str) -> bool {
    name.starts_with("rollback-")
}

#[test]
fn an_alarm_needs_two_of_three_values_and_missing_ones_are_no_alarm() {
    let alarms = alarms(&rendered(&ALL));
    let wrong = alarms.iter().filter(|(name, alarm)| {
        let periods = (
            alarm["EvaluationPeriods"].as_u64(),
            alarm["DatapointsToAlarm"].as_u64(),
        );
        let usual = periods == (Some(3), Some(2)) && alarm["TreatMissingData"] == "notBreaching";
        usual == OTHER_PERIODS.iter().any(|(other, _)| other == name)
    });
    assert_none(&wrong.map(|(name, _)| name.clone()).collect::<Vec<_>>());
    for (other, _) in OTHER_PERIODS {
        assert!(alarms.iter().any(|(name, _)| name == other), "{other}");
    }
}

/// The properties of an alarm that one value sets off.
fn at_once<'a>(alarms: &'a [(String, Value)], wanted: &str) -> &'a Value {
    let alarm = alarms.iter().find(|(name, _)| name == wanted);
    let (_, alarm) = alarm.unwrap();
    assert_eq!(alarm["EvaluationPeriods"], 1, "{wanted}");
    assert_eq!(alarm["DatapointsToAlarm"], 1, "{wanted}");
    assert_eq!(alarm["TreatMissingData"], "notBreaching", "{wanted}");
    alarm
}

#[test]
fn an_app_with_few_requests_has_alarms_too() {
    let alarms = alarms(&rendered(&ALL));
    let misconfigured = at_once(&alarms, "wechat-misconfigured");
    assert_eq!(misconfigured["Statistic"], "Sum");
    assert_eq!(misconfigured["Threshold"], 0);
    // A request a minute, all of which fail.
    let slow = at_once(&alarms, "api-errors-slow");
    let expression = slow["Metrics"][0]["Expression"].as_str().unwrap();
    assert!(expression.contains("errors >= 3"), "{expression}");
    for metric in &slow["Metrics"].as_array().unwrap()[1..] {
        let seconds = metric["MetricStat"]["Period"].as_u64().unwrap();
        assert!(seconds / 60 >= 3, "{metric}");
    }
    assert!(slow["Threshold"].as_f64().unwrap() < 100.0);
}

#[test]
fn every_alarm_tells_the_topic_except_those_that_end_a_deployment() {
    let template = rendered(&ALL);
    for (name, alarm) in alarms(&template) {
        let is_told = alarm["AlarmActions"] == serde_json::json!(["AlarmTopic"])
            && alarm["OKActions"] == alarm["AlarmActions"];
        assert_eq!(is_told, !is_of_deployments(&name), "{name}");
    }
    let subscriptions = template.resources("AWS::SNS::Subscription");
    let [(_, subscription)] = &subscriptions[..] else {
        panic!("not one subscription")
    };
    assert_eq!(subscription["Endpoint"], "ops@example.com");
}

#[test]
fn none_said_explicitly_leaves_the_alarms_that_end_a_deployment() {
    let template = rendered(&[("AlarmEmail", "none")]);
    assert!(template.resources("AWS::SNS::Topic").is_empty());
    let alarms = alarms(&template);
    assert!(!alarms.is_empty());
    for (name, _) in alarms {
        assert!(is_of_deployments(&name), "{name}");
    }
}

#[test]
fn each_function_has_an_alarm_of_its_own_that_ends_its_deployment() {
    let template = rendered(&[]);
    let alarms = template.resources(ALARM);
    for function in template.functions() {
        let preference = &function.properties["DeploymentPreference"];
        let name = preference["Alarms"][0].as_str().unwrap_or_default();
        let alarm = alarms.iter().find(|(resource, _)| resource == name);
        let (_, alarm) = alarm.unwrap_or_else(|| panic!("{} has no alarm", function.resource));
        let text = alarm["Metrics"].to_string();
        let resource = &function.resource;
        let errors = format!(r#"{{"Name":"FunctionName","Value":"{resource}"}}"#);
        assert!(text.contains(&errors), "{name}: no {errors} in {text}");
        let package = &function.package;
        let answers = format!(r#"{{"Name":"function","Value":"{package}"}}"#);
        // What a function of events fails is an error to Lambda. So is what the authorizer fails, but
        // with an answer that is none.
        let is_of_events = function.paths().is_empty() && package != "authorizer";
        assert_ne!(text.contains(&answers), is_of_events, "{name}: {text}");
        // A version that fails wholly has at least 10 % of the requests.
        assert!(alarm["Threshold"].as_f64().unwrap() < 10.0, "{name}");
    }
}

#[test]
fn a_deployment_at_once_has_no_alarm_that_could_keep_a_repair_out() {
    let template = rendered(&[
        ("DeploymentPreference", "AllAtOnce"),
        ("AlarmEmail", "none"),
    ]);
    assert!(template.resources(ALARM).is_empty());
    for function in template.functions() {
        let alarms = &function.properties["DeploymentPreference"]["Alarms"];
        assert_eq!(*alarms, serde_json::json!([]), "{}", function.resource);
    }
}

#[test]
fn alarms_without_the_metrics_that_they_need_are_refused() {
    let canary = "Canary10Percent5Minutes";
    for (metrics, email, preference, count) in [
        ("off", "none", "AllAtOnce", 0),
        ("off", "ops@example.com", "AllAtOnce", 1),
        ("off", "none", canary, 1),
        ("off", "ops@example.com", canary, 2),
        ("lean", "ops@example.com", canary, 0),
    ] {
        let template = rendered(&[
            ("Metrics", metrics),
            ("AlarmEmail", email),
            ("DeploymentPreference", preference),
        ]);
        let refusals = template.refusals();
        assert_eq!(refusals.len(), count, "{refusals:?}");
        let is_named = |why: &String| why.starts_with("Metrics=off needs ");
        assert!(refusals.iter().all(is_named), "{refusals:?}");
    }
}

#[test]
fn every_alarm_has_its_heading_in_the_runbooks() {
    let alarms = alarms(&rendered(&ALL));
    let mut wrong = Vec::new();
    for page in ["docs/runbook.md", "docs/zh/runbook.md"] {
        let text = fs::read_to_string(workspace().join(page)).unwrap();
        for (name, _) in &alarms {
            let name = if is_of_deployments(name) {
                "rollback"
            } else {
                name
            };
            let is_heading = |line: &str| line == format!("### {name}");
            if !text.lines().any(is_heading) {
                wrong.push(format!("{page}: no heading {name}"));
            }
        }
    }
    assert_none(&wrong);
}

/// What the dashboard shows.
fn widgets(template: &Template) -> Vec<Value> {
    let [(_, dashboard)] = &template.resources("AWS::CloudWatch::Dashboard")[..] else {
        panic!("not one dashboard")
    };
    let body = dashboard["DashboardBody"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

/// The last members of the metrics of this name: the values of their dimension.
fn shown(widgets: &[Value], name: &str) -> BTreeSet<String> {
    let metrics = |widget: &Value| widget["properties"]["metrics"].as_array().cloned();
    let lists = widgets.iter().filter_map(metrics);
    let mut lists = lists.filter(|metrics| metrics[0][1] == name);
    let metrics = lists.next().unwrap_or_default();
    let value = |metric: &Value| metric.as_array()?.last()?.as_str().map(str::to_owned);
    metrics.iter().filter_map(value).collect()
}

/// By name, where a search would find nothing if the namespace or a name is not as it expects.
#[test]
fn the_dashboard_shows_the_metrics_of_every_function() {
    let template = rendered(&[]);
    let widgets = widgets(&template);
    let functions = template.functions().into_iter();
    // Failures of the others are errors to Lambda, which their own alarms read.
    let functions = functions.filter(|function| !function.paths().is_empty());
    let functions: BTreeSet<_> = functions.map(|function| function.package).collect();
    assert_eq!(shown(&widgets, "server_errors"), functions);
    let logs = template.resources("AWS::Logs::LogGroup").into_iter();
    let logs: BTreeSet<_> = logs.map(|(name, _)| name).collect();
    assert_eq!(shown(&widgets, "IncomingBytes"), logs);
}

#[test]
fn the_dashboard_is_json_and_reads_the_logs_of_every_function() {
    let template = rendered(&[]);
    let widgets = widgets(&template);
    let queries = widgets.iter();
    let queries = queries.filter_map(|widget| widget["properties"]["query"].as_str());
    let queries: Vec<_> = queries.collect();
    assert!(!queries.is_empty());
    for function in template.functions() {
        let log = function.properties["LoggingConfig"]["LogGroup"].as_str();
        let source = format!("SOURCE '{}'", log.unwrap());
        for query in &queries {
            assert!(query.contains(&source), "{source} is not in {query}");
        }
    }
    let off = rendered(&[("Dashboard", "off")]);
    assert!(off.resources("AWS::CloudWatch::Dashboard").is_empty());
}
