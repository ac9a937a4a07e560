//! The settings that a function needs to start, how it refuses invalid ones, and what it connects to.

use std::collections::BTreeMap;

use e2e::{
    binaries,
    events::{HttpApi, load},
    runtime_api::{FunctionUnderTest, Refusal},
    settings::Settings,
};
use serde_json::Value;
use shared::config::{LOCAL_DATA_KEYS, LOCAL_JWT_SECRET};

use crate::harness::{LambdaHarness, answer, functions};

const NOWHERE: &str = "http://127.0.0.1:9";

async fn refusal(function: &str, variables: &[(String, String)]) -> (Refusal, String) {
    let refusal = FunctionUnderTest::spawn(binaries::path(function), variables)
        .wait_exit()
        .await;
    assert_eq!(
        refusal.code,
        Some(1),
        "{function} did not refuse:\n{}",
        refusal.logs
    );
    let lines = refusal.logs.json_where("message", &"start refused".into());
    assert_eq!(
        (lines.len(), refusal.logs.lines().len()),
        (1, 1),
        "{}",
        refusal.logs
    );
    assert_eq!(lines[0]["level"], "ERROR");
    let why = lines[0]["why"].as_str().unwrap().to_owned();
    (refusal, why)
}

fn names_in(why: &str) -> Vec<&str> {
    let names = why
        .split("; ")
        .filter_map(|problem| Some(problem.split_once(": ")?.0));
    // A semicolon can also be part of a problem's text.
    names
        .filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
        .collect()
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn all_missing_settings_are_reported_together() {
    for function in ["login", "user-data"] {
        let (_, why) = refusal(function, &[]).await;
        let mut names = names_in(&why);
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "DATA_KEYS",
                "JWT_SECRETS",
                "WECHAT_APPIDS",
                "WECHAT_SECRETS"
            ],
            "{function}"
        );
    }
}

#[tokio::test]
async fn a_function_requires_only_the_settings_it_uses() {
    for function in ["token", "user-info", "config", "authorizer"] {
        let (_, why) = refusal(function, &[]).await;
        let mut names = names_in(&why);
        names.sort_unstable();
        assert_eq!(names, ["JWT_SECRETS", "WECHAT_APPIDS"], "{function}");
    }
    let (_, why) = refusal("users", &[]).await;
    let mut names = names_in(&why);
    names.sort_unstable();
    assert_eq!(names, ["DATA_KEYS", "JWT_SECRETS", "WECHAT_APPIDS"]);
    let (_, why) = refusal("users", &owned(&[("ADMINS", "alice")])).await;
    assert!(names_in(&why).contains(&"ADMINS"), "{why}");
    let (_, why) = refusal("config", &owned(&[("CONFIG_CACHE_SECONDS", "0")])).await;
    let mut names = names_in(&why);
    names.sort_unstable();
    assert_eq!(
        names,
        ["CONFIG_CACHE_SECONDS", "JWT_SECRETS", "WECHAT_APPIDS"]
    );
}

/// The callback ends sessions and never issues tokens.
#[tokio::test]
async fn the_callback_needs_no_signing_or_data_key() {
    let nothing: [(&str, &str); 0] = [];
    let callback = FunctionUnderTest::spawn(binaries::path("callback"), &nothing);
    let event = HttpApi::new("POST", "/api/v1/wechat/callback").event();
    answer(&callback, &event).await.fails(400, "decrypt_failed");
    let (refusal, why) = refusal("callback", &owned(&[("MESSAGE_PUSH", "wx1:hunter2")])).await;
    assert_eq!(names_in(&why), ["MESSAGE_PUSH"]);
    assert!(!refusal.logs.contain("hunter2"), "{}", refusal.logs);
}

#[tokio::test]
async fn all_invalid_settings_are_reported_together_without_values() {
    let wrong = [
        (
            "JWT_SECRETS",
            "hunter2-short,your-secret-key-change-in-production",
        ),
        ("DATA_KEYS", "k1:hunter2-no-key"),
        (
            "WECHAT_APPIDS",
            "wx0123456789abcdef:hunter2-in-the-wrong-place",
        ),
        ("WECHAT_SECRETS", "hunter2-without-appid"),
        ("WECHAT_BASE_URL", "hunter2-no-url"),
        ("REDIS_URL", "hunter2-no-url"),
        ("CORS_ORIGINS", "hunter2-no-origin"),
        ("REQUEST_TIMEOUT_MS", "1"),
        ("METRICS", "hunter2"),
        ("METRICS_NAMESPACE", "hunter2 has blanks"),
        ("ACCESS_TOKEN_SECONDS", "soon"),
    ];
    let (refusal, why) = refusal("login", &owned(&wrong)).await;
    for (name, _) in wrong {
        assert!(names_in(&why).contains(&name), "{name} is not in: {why}");
    }
    assert!(why.contains("secret 1 is shorter than 32 bytes"), "{why}");
    assert!(
        why.contains("secret 2 is a known or guessable one"),
        "{why}"
    );
    assert!(
        !refusal.logs.contain("hunter2") && !refusal.logs.contain("your-secret-key"),
        "{}",
        refusal.logs
    );
}

#[tokio::test]
async fn local_development_secrets_are_refused() {
    let settings = Settings::new(NOWHERE, NOWHERE)
        .with("JWT_SECRETS", LOCAL_JWT_SECRET)
        .with("DATA_KEYS", LOCAL_DATA_KEYS);
    let (refusal, why) = refusal("login", settings.variables()).await;
    assert!(
        names_in(&why).contains(&"JWT_SECRETS") && names_in(&why).contains(&"DATA_KEYS"),
        "{why}"
    );
    assert!(!refusal.logs.contain(LOCAL_JWT_SECRET), "{}", refusal.logs);
}

#[tokio::test]
async fn an_invalid_log_level_is_refused() {
    for function in functions() {
        let settings = Settings::new(NOWHERE, NOWHERE).with("LOG_LEVEL", "loud");
        let (_, why) = refusal(&function, settings.variables()).await;
        assert!(why.starts_with("LOG_LEVEL: "), "{why}");
    }
}

#[tokio::test]
async fn an_invalid_log_level_does_not_hide_other_errors() {
    let (_, why) = refusal("token", &owned(&[("LOG_LEVEL", "loud")])).await;
    let names = names_in(&why);
    assert!(
        names.contains(&"LOG_LEVEL") && names.contains(&"JWT_SECRETS"),
        "{why}"
    );
}

#[tokio::test]
async fn a_name_that_looks_like_a_setting_is_logged_and_does_not_stop_a_function() {
    let variables = owned(&[
        ("WECHAT_APPID", "hunter2"),
        ("CONTENT_CHECK", "on"),
        ("PATHS", "x"),
    ]);
    let health = FunctionUnderTest::spawn(binaries::path("health"), &variables);
    answer(&health, &load("health", "health", &[]))
        .await
        .ok(200);
    let warning = "no setting has this name";
    health.process().wait_for_line(warning).await;
    let warnings = health.logs().json_where("message", &warning.into());
    assert_eq!(warnings.len(), 1, "{}", health.logs());
    assert_eq!(warnings[0]["name"], "WECHAT_APPID");
    assert_eq!(warnings[0]["meant"], "WECHAT_APPIDS");
    assert!(!health.logs().contain("hunter2"));
}

#[tokio::test]
async fn a_refused_start_is_logged_when_logging_is_off() {
    let (_, why) = refusal("token", &owned(&[("LOG_LEVEL", "off")])).await;
    assert!(why.contains("JWT_SECRETS"), "{why}");
}

#[tokio::test]
async fn health_needs_no_secret() {
    let nothing: [(&str, &str); 0] = [];
    let health = FunctionUnderTest::spawn(binaries::path("health"), &nothing);
    let answer = answer(&health, &load("health", "health", &[])).await;
    assert_eq!(answer.ok(200)["status"], "ok");
    assert_eq!(answer.data()["region"], "us-east-1");
}

#[tokio::test]
async fn a_malformed_event_does_not_stop_the_instance() {
    let nothing: [(&str, &str); 0] = [];
    let health = FunctionUnderTest::spawn(binaries::path("health"), &nothing);
    let mut not_base64: Value = load("health", "health", &[]);
    not_base64["body"] = "not base64!".into();
    not_base64["isBase64Encoded"] = true.into();
    for nonsense in [
        "not JSON",
        "",
        "null",
        "42",
        "{}",
        r#"{"version":"2.0"}"#,
        &not_base64.to_string(),
    ] {
        health.measure(nonsense.as_bytes()).await;
        answer(&health, &load("health", "health", &[]))
            .await
            .ok(200);
    }
    health.logs().assert_all_json();
}

/// So that the first request waits for no handshake. The others need the table in few requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_use_the_table_in_most_requests_connect_to_it_during_init() {
    let harness = LambdaHarness::start().await;
    let mut connected = BTreeMap::new();
    for name in functions() {
        harness.dynamodb_proxy.take_traffic();
        let function = harness.function(&name);
        function.time_to_first_next().await;
        let traffic = harness.dynamodb_proxy.take_traffic();
        if traffic.connections > 0 {
            connected.insert(name, traffic.connections);
        }
    }
    let expected = [
        ("account", 1),
        ("avatar", 2),
        ("login", 2),
        ("token", 1),
        ("user-data", 1),
        ("users", 1),
    ];
    let expected = expected.map(|(name, connections)| (name.to_owned(), connections));
    assert_eq!(connected, BTreeMap::from(expected));
}
