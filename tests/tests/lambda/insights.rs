//! The queries of the runbooks and of the dashboard find what they are for, in lines that functions wrote
//! while things went wrong.

mod evaluate;
mod query;
mod tokens;

use std::{collections::BTreeSet, fs};

use e2e::{binaries::workspace, logs::Logs, wire_proxy::Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    alarms,
    harness::{LambdaHarness, answer, info_event, login_event, refresh_event},
    metrics::settled,
};
use evaluate::{Row, line};
use query::Query;

/// Where a query looks.
#[derive(Debug, Clone, Copy)]
enum Source {
    Functions,
    /// API Gateway's access log.
    Api,
}
use Source::{Api, Functions};

/// Texts that some row of a result has in these columns.
type Part = &'static [(&'static str, &'static str)];

const ENGLISH: &str = "docs/runbook.md";
const CHINESE: &str = "docs/zh/runbook.md";

/// The queries of the runbook in their order: the heading that they stand under, where they look, and what they
/// find.
const QUERIES: [(&str, Source, Part); 28] = [
    (
        "Logs",
        Functions,
        &[("route", "/api/v1/user/login"), ("cause", "40125")],
    ),
    (
        "Logs",
        Functions,
        &[("message", "request"), ("level", "ERROR")],
    ),
    ("Logs", Functions, &[("cause", "rate limit login exceeded")]),
    (
        "Alarms",
        Functions,
        &[("route", "/api/v1/user/login"), ("reason", "unavailable")],
    ),
    ("api-errors", Functions, &[("@log", "HealthLogs")]),
    ("api-errors", Functions, &[("why", "LOG_LEVEL")]),
    (
        "api-errors",
        Api,
        &[("status", "503"), ("integrationError", "error")],
    ),
    (
        "api-latency",
        Functions,
        &[("route", "/api/v1/user/login"), ("p99", "")],
    ),
    (
        "api-latency",
        Functions,
        &[("route", "/api/v1/user/login"), ("slowest", "")],
    ),
    ("throttles", Api, &[("status", "429"), ("route", "/health")]),
    (
        "concurrency",
        Functions,
        &[("requests", ""), ("duration", "")],
    ),
    (
        "table-throttles",
        Functions,
        &[("cause", "DynamoDB is not available")],
    ),
    (
        "breaker-open",
        Functions,
        &[("transition", "Opened"), ("scope", "instance")],
    ),
    (
        "breaker-open",
        Functions,
        &[("cause", "WeChat: no connection")],
    ),
    (
        "wechat-misconfigured",
        Functions,
        &[("app_id", "wx"), ("cause", "40125")],
    ),
    (
        "degraded",
        Functions,
        &[("what", "shared state"), ("error", "")],
    ),
    ("shed", Functions, &[("cause", "at capacity: wechat")]),
    ("changes-lag", Functions, &[("reaction", "audit")]),
    (
        "sagas-stuck",
        Functions,
        &[("saga_id", "0000"), ("error", "unreadable row")],
    ),
    (
        "webhooks-given-up",
        Functions,
        &[("receiver", "gone"), ("reason", "status 500")],
    ),
    (
        "webhooks-retries",
        Functions,
        &[("receiver", "gone"), ("reason", "status 500")],
    ),
    (
        "messages-dead",
        Functions,
        &[("why", "not an order"), ("times", "")],
    ),
    (
        "messages-lag",
        Functions,
        &[("app_id", "wx"), ("seconds", "72")],
    ),
    (
        "messages-errors",
        Functions,
        &[("status", "refused"), ("reason", "no_grant")],
    ),
    ("no-traffic", Api, &[("ip", "203.0.113.7")]),
    (
        "rollback",
        Functions,
        &[("@logStream", "[12]"), ("cause", "40125")],
    ),
    (
        "A secret has leaked",
        Functions,
        &[("audit", "refresh_reused")],
    ),
    ("A secret has leaked", Functions, &[("user_id", "-")]),
];

/// What the dashboard asks, by the title, and what it finds.
const OF_DASHBOARD: [(&str, Part); 3] = [
    (
        "Failures by reason",
        &[("reason", "internal"), ("route", "/api/v1/user/login")],
    ),
    (
        "Latency by route (ms)",
        &[("route", "/api/v1/user/login"), ("p99", "")],
    ),
    (
        "Cold starts",
        &[("route", "/api/v1/user/login"), ("starts", "")],
    ),
];

/// The route whose requests functions refuse.
const OF_FUNCTIONS: &str = "ANY /api/v1/user/refresh";

/// Alarms whose section has no query, and why.
const WITHOUT_QUERY: [(&str, &str); 8] = [
    ("changes-lost", "a queue says which they are"),
    ("changes-skipped", "each is a line whose text stands there"),
    ("webhooks-dead", "a queue has them"),
    (
        "webhooks-errors",
        "a function that does not start says so once",
    ),
    ("webhooks-lag", "what waits in a queue writes no line"),
    (
        "worker-errors",
        "a function that does not start says so once",
    ),
    ("api-errors-slow", "what to do is that of api-errors"),
    ("certificate", "a connection that fails writes no line"),
];

/// What Lambda writes when a function takes too long or ends by itself, as text and as JSON.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logs.html>
const OF_LAMBDA: [&str; 4] = [
    "2026-11-26T03:00:13.020Z 79b4f56e-95b1-4643-9700-2807f4e68189 Task timed out after 13.02 seconds",
    r#"{"time":"2026-11-26T03:00:13.020Z","type":"platform.report","record":{"requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","status":"timeout","metrics":{"durationMs":13000.0}}}"#,
    "INIT_REPORT Init Duration: 1.99 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError",
    r#"{"time":"2026-11-26T03:00:13.020Z","type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.InvalidEntrypoint","metrics":{"durationMs":1.99}}}"#,
];

/// The queries of a page with the heading that each stands under.
fn documented(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(workspace().join(page)).unwrap();
    let (mut heading, mut queries) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix('#') {
            title
                .trim_start_matches('#')
                .trim()
                .clone_into(&mut heading);
        } else if line == "```text" {
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            queries.push((heading.clone(), inside.join("\n")));
        }
    }
    queries
}

/// What the functions logged, as Insights reads it.
async fn of_functions() -> Vec<Row> {
    let login = alarms::faults().await;
    let webhooks = alarms::given_up().await;
    let messages = alarms::unsent().await;
    let others = others().await;
    let sources = [
        ("LoginLogs", login),
        ("WebhooksLogs", webhooks),
        ("MessagesLogs", messages),
    ];
    let sources = sources.into_iter().chain(others);
    let mut rows = Vec::new();
    for (group, logs) in sources {
        for text in logs.lines() {
            let written = serde_json::from_str::<Value>(text).unwrap_or_default();
            let time = written["timestamp"].as_str().unwrap_or_default().parse();
            let time = time.unwrap_or(Timestamp::UNIX_EPOCH);
            rows.push(line(text, group, "2026/11/26/[12]8f1d", time));
        }
    }
    let of_lambda = OF_LAMBDA.map(|text| line(text, "HealthLogs", "s", Timestamp::UNIX_EPOCH));
    rows.extend(of_lambda);
    rows
}

/// What other functions log when things go wrong.
async fn others() -> Vec<(&'static str, Logs)> {
    let mut harness = LambdaHarness::start().await;
    let settings = harness.settings.clone();
    harness.settings = settings.clone().with("LOG_LEVEL", "loud");
    let refused = harness.function("health").wait_exit().await.logs;
    // One login and no more.
    harness.settings = settings
        .clone()
        .with("RATE_LIMIT_LOGIN", "1/h burst 1")
        .with("METRICS", "emf");
    let login = harness.function("login");
    let tokens = harness.log_in(&login, "alice").await;
    answer(&login, &login_event(&harness.code("alice")))
        .await
        .fails(429, "rate_limited");
    // An old refresh token.
    harness.settings = settings.with("REFRESH_GRACE_SECONDS", "0");
    let token = harness.function("token");
    answer(&token, &refresh_event(&tokens.refresh))
        .await
        .ok(200);
    answer(&token, &refresh_event(&tokens.refresh))
        .await
        .fails(401, "refresh_reused");
    // No table, and nothing cached.
    harness.redis.kill();
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    let user_info = harness.function("user-info");
    answer(&user_info, &info_event(&tokens))
        .await
        .fails(503, "unavailable");
    let mut logs = vec![("HealthLogs", refused)];
    for (group, function) in [
        ("LoginLogs", login),
        ("TokenLogs", token),
        ("UserInfoLogs", user_info),
    ] {
        logs.push((group, settled(&function).await));
    }
    logs
}

/// API Gateway's access log in the template's format: a request that was served, one that was throttled, one that
/// no function could take, and two that functions refused themselves.
fn of_api() -> Vec<Row> {
    let template = alarms::template(&[]);
    let (_, api) = &template.resources("AWS::Serverless::HttpApi")[0];
    let format = api["AccessLogSettings"]["Format"].as_str().unwrap();
    let requests = [
        ("ANY /api/v1/user/info", "200", "40", "-"),
        ("ANY /health", "429", "-", "-"),
        (
            "ANY /api/v1/user/login",
            "503",
            "40",
            "Internal server error",
        ),
        (OF_FUNCTIONS, "429", "40", "-"),
        (OF_FUNCTIONS, "503", "40", "-"),
    ];
    let written = requests.map(|(route, status, latency, error)| {
        [
            ("requestTime", "26/Nov/2026:03:00:00 +0000"),
            ("requestId", "JKJaXmPLvHcESHA="),
            ("identity.sourceIp", "203.0.113.7"),
            ("routeKey", route),
            ("status", status),
            ("responseLatency", "42"),
            ("integrationLatency", latency),
            ("integrationErrorMessage", error),
        ]
        .iter()
        .fold(format.to_owned(), |text, (name, value)| {
            text.replace(&format!("\"$context.{name}\""), &format!("\"{value}\""))
        })
    });
    let row = |text: &String| {
        assert!(!text.contains("$context"), "a value is missing: {text}");
        line(text, "ApiLogs", "s", Timestamp::UNIX_EPOCH)
    };
    written.iter().map(row).collect()
}

/// What is wrong with a query that should find such a row in these lines.
fn wrong(text: &str, lines: &[Row], wanted: Part) -> Option<String> {
    let query = match Query::parse(text) {
        Ok(query) => query,
        Err(error) => return Some(format!("{error}:\n{text}")),
    };
    let missing = query.fields().into_iter();
    let mut missing = missing.filter(|name| !lines.iter().any(|line| line.contains_key(name)));
    if let Some(name) = missing.next() {
        return Some(format!("no line has the field {name}:\n{text}"));
    }
    let rows = query.run(lines);
    let shows = |row: &&Row| {
        wanted.iter().all(|(column, part)| {
            let value = row.get(*column).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            value.is_some_and(|value| value.contains(part))
        })
    };
    let found = rows.iter().any(|row| shows(&row));
    (!found).then(|| format!("no row with {wanted:?} in {}:\n{text}", json!(rows)))
}

/// The id of a request that failed, of which Insights is asked for everything.
fn a_failed_request(lines: &[Row]) -> String {
    let failed = lines
        .iter()
        .find(|line| line.get("level") == Some(&json!("ERROR")));
    failed.unwrap()["request_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queries_of_the_runbook_and_of_the_dashboard_find_what_they_are_for() {
    let (functions, api) = (of_functions().await, of_api());
    let id = a_failed_request(&functions);
    let queries = documented(ENGLISH);
    let headings: Vec<_> = queries.iter().map(|(heading, _)| &**heading).collect();
    assert_eq!(headings, QUERIES.map(|(heading, ..)| heading));
    let mut errors = Vec::new();
    for ((_, text), (_, source, wanted)) in queries.iter().zip(QUERIES) {
        let lines = match source {
            Functions => &functions,
            Api => &api,
        };
        errors.extend(wrong(&text.replace('…', &id), lines, wanted));
    }
    let of_dashboard = alarms::queries();
    let titles: Vec<_> = of_dashboard.iter().map(|(title, _)| &**title).collect();
    assert_eq!(titles, OF_DASHBOARD.map(|(title, _)| title));
    for ((_, text), (_, wanted)) in of_dashboard.iter().zip(OF_DASHBOARD) {
        errors.extend(wrong(text, &functions, wanted));
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n\n"));
}

/// A query of the runbook by the heading that it stands under.
fn query(heading: &str, number: usize) -> Query {
    let mut under = documented(ENGLISH)
        .into_iter()
        .filter(|(title, _)| title == heading);
    Query::parse(&under.nth(number).unwrap().1).unwrap()
}

/// The limit would be raised that is not the reason.
#[test]
fn what_functions_refuse_is_not_taken_for_what_they_are_not_asked() {
    for (heading, number) in [("api-errors", 2), ("throttles", 0)] {
        let rows = query(heading, number).run(&of_api());
        assert!(!rows.is_empty(), "{heading}");
        let of_functions = rows.iter().filter(|row| row["route"] == OF_FUNCTIONS);
        assert_eq!(of_functions.count(), 0, "{heading}: {rows:?}");
    }
}

#[test]
fn a_function_that_ends_before_it_writes_anything_is_found() {
    let query = query("api-errors", 0);
    for text in OF_LAMBDA {
        let line = line(text, "TokenLogs", "s", Timestamp::UNIX_EPOCH);
        let rows = query.run(&[line]);
        assert_eq!(rows.len(), 1, "{text}");
    }
}

#[test]
fn both_runbooks_have_the_same_queries_and_commands() {
    let queries = |page| documented(page).into_iter().map(|(_, query)| query);
    assert!(queries(ENGLISH).eq(queries(CHINESE)));
    let commands = |page: &str| {
        let snippets = crate::snippets::snippets(&workspace().join(page), "sh");
        let aws = snippets.into_iter().filter(|text| text.contains("aws "));
        // Without what is said to readers.
        let lines = |text: String| {
            let lines = text
                .lines()
                .map(|line| line.split('#').next().unwrap().trim_end());
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        aws.map(lines).collect::<Vec<_>>()
    };
    assert!(commands(ENGLISH).len() > 3);
    assert_eq!(commands(ENGLISH), commands(CHINESE));
}

#[test]
fn every_alarm_says_what_to_look_at() {
    let queries: BTreeSet<_> = documented(ENGLISH)
        .into_iter()
        .map(|(heading, _)| heading)
        .collect();
    for name in alarms::names() {
        let name = if name.starts_with("rollback-") {
            "rollback"
        } else {
            &name
        };
        let exempt = WITHOUT_QUERY.iter().any(|(known, _)| *known == name);
        assert_ne!(queries.contains(name), exempt, "{name}");
    }
}
