//! An instance's metrics: log lines in CloudWatch's embedded metric format.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use e2e::{
    events::load, logs::Logs, runtime_api::FunctionUnderTest, settings::Settings, test_app::Tokens,
    wire_proxy::Fault,
};
use serde_json::Value;

use crate::harness::{LambdaHarness, answer, info_event, log_line, login_event, with_id};

/// Recorded values by a metric's name and dimensions: a counter's increments, a histogram's
/// samples.
pub type Recorded = BTreeMap<(String, Vec<(String, String)>), Vec<f64>>;

/// The metrics in a log. Fails at a line that claims to hold metrics and does not follow the
/// specification.
pub fn recorded(logs: &Logs, namespace: &str) -> Recorded {
    let mut recorded = Recorded::new();
    for line in logs
        .json()
        .into_iter()
        .filter(|line| line.get("_aws").is_some())
    {
        assert!(
            line["_aws"]["Timestamp"].as_i64().unwrap() > 1_700_000_000_000,
            "{line}"
        );
        let line = &line;
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], namespace, "{line}");
            let sets = directive["Dimensions"].as_array().unwrap();
            assert!((1..=30).contains(&sets.len()), "{line}");
            let sets: Vec<_> = sets.iter().map(|names| dimensions(line, names)).collect();
            for definition in directive["Metrics"].as_array().unwrap() {
                let name = definition["Name"].as_str().unwrap();
                let values = match &line[name] {
                    Value::Array(values) => values.clone(),
                    value => vec![value.clone()],
                };
                assert!(!values.is_empty() && values.len() <= 100, "{line}");
                let unit = match name {
                    // A state has no unit.
                    "breaker_state" => None,
                    _ if name.ends_with("_latency") => Some("Seconds"),
                    _ => Some("Count"),
                };
                assert_eq!(definition["Unit"].as_str(), unit, "{line}");
                let values: Vec<_> = values.iter().map(|value| value.as_f64().unwrap()).collect();
                for dimensions in &sets {
                    recorded
                        .entry((name.to_owned(), dimensions.clone()))
                        .or_default()
                        .extend(&values);
                }
            }
        }
    }
    recorded
}

/// The dimensions of these names, with their values in the line.
fn dimensions(line: &Value, names: &Value) -> Vec<(String, String)> {
    let names = names.as_array().unwrap().iter();
    let names = names.map(|name| name.as_str().unwrap());
    let dimensions: Vec<_> = names
        .map(|name| (name.to_owned(), line[name].as_str().unwrap().to_owned()))
        .collect();
    assert!(dimensions.len() <= 30, "{line}");
    dimensions
}

/// A harness whose functions write every metric.
async fn harness_with_all_metrics() -> LambdaHarness {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("METRICS", "emf");
    harness
}

/// The recorded values of one metric.
#[track_caller]
fn of<'a>(recorded: &'a Recorded, name: &str, dimensions: &[(&str, &str)]) -> &'a [f64] {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let key = (name.to_owned(), dimensions.iter().map(owned).collect());
    recorded
        .get(&key)
        .unwrap_or_else(|| panic!("no {key:?} in {recorded:#?}"))
}

/// Everything that an instance wrote up to its answer to one more request.
pub async fn settled(function: &FunctionUnderTest) -> Logs {
    answer(function, &with_id(load("health", "health", &[]), "last")).await;
    log_line(function, "last").await;
    function.logs()
}

const INFO: (&str, &str) = ("route", "/api/v1/user/info");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_writes_its_metrics_before_it_is_answered() {
    let harness = harness_with_all_metrics().await;
    let tokens = harness.log_in(&harness.function("login"), "alice").await;
    let user_info = harness.function("user-info");
    for id in ["first", "second"] {
        answer(&user_info, &with_id(info_event(&tokens), id))
            .await
            .ok(200);
    }
    let logs = settled(&user_info).await;
    let recorded = recorded(&logs, "weapp-serverless");
    assert_eq!(of(&recorded, "cold_starts", &[INFO]), [1.0]);
    assert_eq!(
        of(
            &recorded,
            "requests",
            &[INFO, ("method", "GET"), ("status", "200")]
        ),
        [1.0, 1.0]
    );
    let latencies = of(&recorded, "request_latency", &[INFO]);
    assert!(
        latencies.len() == 2 && latencies.iter().all(|latency| (0.0..5.0).contains(latency)),
        "{latencies:?}"
    );
    assert!(of(&recorded, "upstream_latency", &[("upstream", "redis")]).len() >= 2);
    // No metric of the second request needs a second value, so all are in the request's log line.
    let logged = |id: &str| {
        logs.lines()
            .iter()
            .position(|line| line.contains(&format!(r#""request_id":"{id}""#)))
    };
    let lines = &logs.lines()[logged("second").unwrap()..logged("last").unwrap()];
    assert_eq!(
        lines.iter().filter(|line| line.contains("_aws")).count(),
        1,
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_counted_by_upstream_and_errcode() {
    let mut harness = harness_with_all_metrics().await;
    harness.settings = harness.settings.with("METRICS_NAMESPACE", "my/stack");
    let login = harness.function("login");
    let code = harness.code("alice");
    let tokens = Tokens::of(&answer(&login, &login_event(&code)).await);
    answer(&login, &login_event("an-unknown-code"))
        .await
        .fails(400, "code_invalid");
    harness.redis.kill();
    answer(&login, &login_event(&harness.code("alice")))
        .await
        .ok(200);
    harness.wechat_proxy.set(Fault::Refuse).await;
    harness.wechat_proxy.cut_and_wait().await;
    answer(&login, &login_event(&harness.code("bob")))
        .await
        .fails(503, "unavailable");
    let logs = settled(&login).await;
    let recorded = recorded(&logs, "my/stack");
    let route = ("route", "/api/v1/user/login");
    assert_eq!(
        of(
            &recorded,
            "requests",
            &[route, ("method", "POST"), ("status", "400")]
        ),
        [1.0]
    );
    assert_eq!(
        of(
            &recorded,
            "requests",
            &[route, ("method", "POST"), ("status", "503")]
        ),
        [1.0]
    );
    assert_eq!(
        of(
            &recorded,
            "upstream_errors",
            &[("upstream", "wechat"), ("errcode", "40029")]
        ),
        [1.0]
    );
    // A call that was not sent is retried once.
    assert_eq!(
        of(
            &recorded,
            "upstream_errors",
            &[("upstream", "wechat"), ("errcode", "connect")]
        ),
        [2.0]
    );
    assert!(
        of(&recorded, "degraded_requests", &[route])
            .iter()
            .sum::<f64>()
            >= 1.0
    );
    assert!(of(&recorded, "upstream_latency", &[("upstream", "dynamodb")]).len() >= 2);
    logs.assert_all_json();
    let open_id = harness.wechat.open_id("alice", None).unwrap();
    let user_id = tokens.user_id();
    let own = [
        ("the code", code.as_str()),
        ("the openid", &open_id),
        ("an access token", &tokens.access),
    ];
    logs.assert_without_secrets(Settings::secrets().into_iter().chain(own));
    let labels = recorded.keys().flat_map(|(_, labels)| labels);
    let values: Vec<_> = labels.map(|(_, value)| value.as_str()).collect();
    assert!(!values.contains(&user_id.as_str()), "{values:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_written_at_a_level_that_logs_no_successful_request() {
    let mut harness = harness_with_all_metrics().await;
    harness.settings = harness.settings.with("LOG_LEVEL", "warn");
    let health = harness.function("health");
    let event = load("health", "health", &[]);
    answer(&health, &event).await.ok(200);
    health.process().wait_for_line("_aws").await;
    let logs = health.logs();
    let recorded = recorded(&logs, "weapp-serverless");
    let labels = [("route", "/health"), ("method", "GET"), ("status", "200")];
    assert_eq!(of(&recorded, "requests", &labels), [1.0]);
    assert!(!logs.contain("\"message\":\"request\""), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_can_be_switched_off() {
    let mut harness = LambdaHarness::start().await;
    harness.settings = harness.settings.with("METRICS", "off");
    let health = harness.function("health");
    answer(&health, &load("health", "health", &[]))
        .await
        .ok(200);
    assert!(!settled(&health).await.contain("_aws"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_a_healthy_request_writes_no_metric_and_a_failed_one_only_what_alarms_need() {
    let harness = LambdaHarness::start().await;
    let login = harness.function("login");
    for id in ["cold", "healthy"] {
        let event = with_id(login_event(&harness.code("alice")), id);
        answer(&login, &event).await.ok(200);
    }
    let healthy = log_line(&login, "healthy").await;
    assert!(healthy.get("_aws").is_none(), "{healthy}");
    assert_eq!(healthy["status"], 200);
    harness.wechat_proxy.set(Fault::Refuse).await;
    harness.wechat_proxy.cut_and_wait().await;
    answer(&login, &login_event(&harness.code("bob")))
        .await
        .fails(503, "unavailable");
    let recorded = recorded(&settled(&login).await, "weapp-serverless");
    let names: Vec<_> = recorded.keys().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["server_errors", "upstream_errors"]);
    assert_eq!(
        of(&recorded, "server_errors", &[("function", "login")]),
        [1.0]
    );
    // A call that was not sent is retried once.
    assert_eq!(
        of(&recorded, "upstream_errors", &[("upstream", "wechat")]),
        [2.0]
    );
}
