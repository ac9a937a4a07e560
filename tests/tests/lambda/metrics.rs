//! What an instance counts and measures: lines that CloudWatch takes for metrics (its embedded
//! metric format).
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;

use e2e::{
    events::load, logs::Logs, runtime_api::FunctionUnderTest, settings::Settings,
    wire_proxy::Fault, world::Tokens,
};
use serde_json::Value;

use crate::harness::{Stage, answer, info_event, log_line, login_event, with_id};

/// A metric's name with its dimensions, and what was told of it: a counter's number, a histogram's
/// values.
type Told = BTreeMap<(String, Vec<(String, String)>), Vec<f64>>;

/// The metrics in a log. Fails at a line that claims to hold metrics and does not follow the
/// specification.
fn told(logs: &Logs, namespace: &str) -> Told {
    let mut told = Told::new();
    for line in logs
        .json()
        .into_iter()
        .filter(|line| line.get("_aws").is_some())
    {
        assert!(
            line["_aws"]["Timestamp"].as_i64().unwrap() > 1_700_000_000_000,
            "{line}"
        );
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], namespace, "{line}");
            let [dimensions] = directive["Dimensions"].as_array().unwrap().as_slice() else {
                panic!("{line}")
            };
            let dimensions = dimensions
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap());
            let dimensions: Vec<_> = dimensions
                .map(|name| (name.to_owned(), line[name].as_str().unwrap().to_owned()))
                .collect();
            assert!(dimensions.len() <= 30, "{line}");
            for definition in directive["Metrics"].as_array().unwrap() {
                let name = definition["Name"].as_str().unwrap();
                let values = match &line[name] {
                    Value::Array(values) => values.clone(),
                    value => vec![value.clone()],
                };
                assert!(!values.is_empty() && values.len() <= 100, "{line}");
                let unit = match name {
                    // A state is counted in nothing.
                    "breaker_state" => None,
                    _ if name.ends_with("_latency") => Some("Seconds"),
                    _ => Some("Count"),
                };
                assert_eq!(definition["Unit"].as_str(), unit, "{line}");
                let values = values.iter().map(|value| value.as_f64().unwrap());
                told.entry((name.to_owned(), dimensions.clone()))
                    .or_default()
                    .extend(values);
            }
        }
    }
    told
}

/// What was told of one metric.
#[track_caller]
fn of<'a>(told: &'a Told, name: &str, dimensions: &[(&str, &str)]) -> &'a [f64] {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let key = (name.to_owned(), dimensions.iter().map(owned).collect());
    told.get(&key)
        .unwrap_or_else(|| panic!("no {key:?} in {told:#?}"))
}

/// Everything that an instance wrote up to its answer to one more request.
async fn settled(function: &FunctionUnderTest) -> Logs {
    answer(function, &with_id(load("health", "health", &[]), "last")).await;
    log_line(function, "last").await;
    function.logs()
}

const INFO: (&str, &str) = ("route", "/api/v1/user/info");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_tells_what_it_did_before_it_is_answered() {
    let stage = Stage::start().await;
    let tokens = stage.log_in(&stage.function("login"), "alice").await;
    let user_info = stage.function("user-info");
    for id in ["first", "second"] {
        answer(&user_info, &with_id(info_event(&tokens), id))
            .await
            .ok(200);
    }
    let logs = settled(&user_info).await;
    let told = told(&logs, "weapp-serverless");
    assert_eq!(of(&told, "cold_starts", &[INFO]), [1.0]);
    assert_eq!(
        of(
            &told,
            "requests",
            &[INFO, ("method", "GET"), ("status", "200")]
        ),
        [1.0, 1.0]
    );
    let latencies = of(&told, "request_latency", &[INFO]);
    assert!(
        latencies.len() == 2 && latencies.iter().all(|latency| (0.0..5.0).contains(latency)),
        "{latencies:?}"
    );
    assert!(of(&told, "upstream_latency", &[("upstream", "redis")]).len() >= 2);
    // Nothing contradicts itself in the second one, so it is one line; it stands behind that of its
    // log.
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
async fn trouble_is_told_with_where_it_came_from() {
    let mut stage = Stage::start().await;
    stage.settings = stage.settings.with("METRICS_NAMESPACE", "my/stack");
    let login = stage.function("login");
    let code = stage.code("alice");
    let tokens = Tokens::of(&answer(&login, &login_event(&code)).await);
    answer(&login, &login_event("a-code-of-nobody"))
        .await
        .fails(400, "code_invalid");
    stage.redis.kill();
    answer(&login, &login_event(&stage.code("alice")))
        .await
        .ok(200);
    stage.wechat_wire.set(Fault::Refuse).await;
    stage.wechat_wire.cut_and_wait().await;
    answer(&login, &login_event(&stage.code("bob")))
        .await
        .fails(503, "unavailable");
    let logs = settled(&login).await;
    let told = told(&logs, "my/stack");
    let route = ("route", "/api/v1/user/login");
    assert_eq!(
        of(
            &told,
            "requests",
            &[route, ("method", "POST"), ("status", "400")]
        ),
        [1.0]
    );
    assert_eq!(
        of(
            &told,
            "requests",
            &[route, ("method", "POST"), ("status", "503")]
        ),
        [1.0]
    );
    assert_eq!(
        of(
            &told,
            "upstream_errors",
            &[("upstream", "wechat"), ("errcode", "40029")]
        ),
        [1.0]
    );
    // A call that never left is tried once more.
    assert_eq!(
        of(
            &told,
            "upstream_errors",
            &[("upstream", "wechat"), ("errcode", "connect")]
        ),
        [2.0]
    );
    assert!(of(&told, "degraded_requests", &[route]).iter().sum::<f64>() >= 1.0);
    assert!(of(&told, "upstream_latency", &[("upstream", "dynamodb")]).len() >= 2);
    logs.assert_all_json();
    let open_id = stage.wechat.open_id("alice", None).unwrap();
    let user_id = tokens.user_id();
    let own = [
        ("the code", code.as_str()),
        ("the openid", &open_id),
        ("an access token", &tokens.access),
    ];
    logs.assert_without_secrets(Settings::secrets().into_iter().chain(own));
    let metrics = logs
        .lines()
        .iter()
        .filter(|line| line.contains("_aws"))
        .cloned()
        .collect();
    Logs::new(metrics).assert_without_secrets([("the user's id", user_id.as_str())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_can_be_switched_off() {
    let mut stage = Stage::start().await;
    stage.settings = stage.settings.with("METRICS", "off");
    let health = stage.function("health");
    answer(&health, &load("health", "health", &[]))
        .await
        .ok(200);
    assert!(!settled(&health).await.contain("_aws"));
}
