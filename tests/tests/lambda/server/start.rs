//! What the server needs to start, and what it refuses.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt};

use e2e::{process::Process, test_app::Api, wire_proxy::Fault};
use rustix::process::Signal;
use serde_json::json;

use super::{Running, SIMULATOR, spawn, until, with_aws};
use crate::harness::LambdaHarness;

/// The names of the settings for which the server does not start.
pub async fn refused(variables: &[(&str, &str)]) -> BTreeSet<String> {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let process = spawn(&[], &variables);
    assert_eq!(process.wait_exit().await.code(), Some(1));
    let lines = process
        .logs()
        .json_where("message", &"start refused".into());
    assert_eq!(lines.len(), 1, "{}", process.logs());
    let why = lines[0]["why"].as_str().unwrap();
    let names = why.split("; ").filter_map(|error| error.split_once(": "));
    let names = names.map(|(name, _)| name.to_owned());
    let is_name = |name: &String| {
        name.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    names.filter(is_name).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What every server needs.
const REQUIRED: [&str; 5] = [
    "AWS_REGION",
    "DATA_KEYS",
    "JWT_SECRETS",
    "WECHAT_APPIDS",
    "WECHAT_SECRETS",
];

#[tokio::test]
async fn development_settings_are_rejected() {
    let aws = [
        ("PORT", "0"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&aws[..], more].concat();
    assert_eq!(refused(&aws).await, set(&REQUIRED));
    let secret = "wx0000000000000001:simulated-app-secret-of-wx1";
    let simulated = with(&[
        ("WECHAT_BASE_URL", "http://127.0.0.1:9000/_wechat"),
        ("WECHAT_SECRETS", secret),
    ]);
    let mut wanted = set(&REQUIRED);
    wanted.insert("WECHAT_BASE_URL".to_owned());
    assert_eq!(refused(&simulated).await, wanted);
    let defaults = with(&[
        ("AWS_REGION", "us-east-1"),
        ("WECHAT_APPIDS", "wx0123456789abcdef"),
        ("WECHAT_SECRETS", "wx0123456789abcdef:k3f9s0d8f7a6h5j4"),
        ("JWT_SECRETS", shared::config::LOCAL_JWT_SECRET),
        ("DATA_KEYS", shared::config::LOCAL_DATA_KEYS),
    ]);
    assert_eq!(refused(&defaults).await, set(&["DATA_KEYS", "JWT_SECRETS"]));
    let misspelled = with(&[("WECHAT_APPID", "wx1")]);
    assert_eq!(refused(&misspelled).await, set(&REQUIRED));
}

/// Nothing is made, bound or asked before the settings are right.
#[tokio::test]
async fn all_errors_are_named_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let embedded = ("EMBEDDED_DATA", data.to_str().unwrap());
    let endpoint = ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1");
    // Would be asked for seconds.
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://192.0.2.1");
    let both = refused(&[embedded, endpoint, metadata]).await;
    let mut wanted = set(&REQUIRED[1..]);
    wanted.insert("EMBEDDED_DATA".to_owned());
    assert_eq!(both, wanted);
    // A bucket needs keys and a region, which the embedded DynamoDB does not.
    let bucket = [
        ("AVATAR_BUCKET", "pictures"),
        ("AVATAR_BASE_URL", "https://static.example.com"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        embedded,
    ];
    let mut wanted = set(&REQUIRED);
    wanted.insert("AWS_ACCESS_KEY_ID".to_owned());
    assert_eq!(refused(&bucket).await, wanted);
    assert!(!data.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_data_survives_a_restart() {
    let harness = LambdaHarness::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = harness
        .settings
        .clone()
        .without("AWS_ENDPOINT_URL_DYNAMODB")
        .without("REDIS_URL")
        .without("AVATAR_BUCKET")
        .without("AVATAR_BASE_URL")
        .with("EMBEDDED_DATA", data.to_str().unwrap())
        .with(SIMULATOR.0, SIMULATOR.1)
        .with("PORT", "0");
    // No region, no credentials, and nobody is asked for them.
    let server = Running::start(settings.variables()).await;
    server.process.wait_for_line("ALLOW_SIMULATOR is on").await;
    let tokens = server.log_in(&harness, "alice").await;
    server.api.info(&tokens.access).await.ok(200);
    assert_eq!(server.ready().await.1["sharedState"], "memory");
    let mode = fs::metadata(data.join("dynamodb.sqlite")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second server would overwrite what the first one writes.
    let second = spawn(&[], settings.variables());
    assert_eq!(second.wait_exit().await.code(), Some(1));
    let logs = second.logs();
    assert!(logs.contain("is in use by another process"), "{logs}");
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
    let again = Running::start(settings.variables()).await;
    let info = again.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["id"], tokens.user_id());
    // What is written from here on would be lost.
    fs::remove_file(data.join("dynamodb.sqlite")).unwrap();
    until(&again, 503, "unavailable").await;
}

/// The output of a command that has succeeded.
async fn output(process: &Process) -> String {
    let code = process.wait_exit().await.code();
    let text = process.logs().to_string();
    assert_eq!(code, Some(0), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_its_own_can_be_made() {
    let harness = LambdaHarness::start().await;
    let settings = harness.settings.clone().with("TABLE_NAME", "another");
    let settings = settings.with(SIMULATOR.0, SIMULATOR.1);
    // Twice is once.
    for _ in 0..2 {
        output(&spawn(&["create-table"], &with_aws(&settings))).await;
    }
    let server = Running::start(&with_aws(&settings)).await;
    let tokens = server.log_in(&harness, "alice").await;
    server.api.info(&tokens.access).await.ok(200);
    let secure = settings.with("AWS_ENDPOINT_URL_DYNAMODB", "https://127.0.0.1:1");
    let process = spawn(&["create-table"], &with_aws(&secure));
    assert_eq!(process.wait_exit().await.code(), Some(1));
    let text = process.logs().to_string();
    assert!(
        text.contains("AWS_ENDPOINT_URL_DYNAMODB: is not http"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_sagas_command_continues_deletions() {
    let harness = LambdaHarness::start().await;
    let cooling = ("DELETION_COOLING_DAYS", "1");
    let server = Running::with(&harness, &[cooling]).await;
    let tokens = server.log_in(&harness, "alice").await;
    let settings = harness.settings.clone().with(cooling.0, cooling.1);
    let variables = with_aws(&settings);
    assert_eq!(output(&spawn(&["sagas"], &variables)).await, "");
    let deletion = server.api.delete_account(&tokens.access).await;
    let deletion = deletion.ok(202);
    let text = output(&spawn(&["sagas"], &variables)).await;
    let [saga, until] = ["saga", "until"].map(|name| deletion[name].as_str().unwrap());
    assert!(text.contains(saga), "{text}");
    assert!(text.contains(&format!("waits until {until}")), "{text}");
    let embedded = settings
        .without("AWS_ENDPOINT_URL_DYNAMODB")
        .with("EMBEDDED_DATA", "/nowhere");
    let process = spawn(&["sagas"], embedded.variables());
    assert_eq!(process.wait_exit().await.code(), Some(1));
    assert!(process.logs().contain("the running server does it"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_while_dynamodb_answers() {
    let mut harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[("METRICS_PORT", "0")]).await;
    let ready = json!({"status": "ready", "dynamodb": "ok", "sharedState": "ok"});
    assert_eq!(server.ready().await, (200, ready));
    server.log_in(&harness, "alice").await;
    let metrics = Api::new(server.metrics.as_ref().unwrap());
    let (status, _, text) = metrics.request("GET", "/metrics").send_raw().await;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    let is_login =
        |line: &&str| line.starts_with("requests_total{") && line.contains("/user/login");
    let login = text
        .lines()
        .find(is_login)
        .unwrap_or_else(|| panic!("{text}"));
    assert!(login.ends_with(" 1"), "{login}");
    // Not on the port of the API.
    let (status, ..) = server.api.request("GET", "/metrics").send_raw().await;
    assert_eq!(status, 404);
    harness.redis.kill();
    until(&server, 200, "degraded").await;
    harness.dynamodb_proxy.set(Fault::Refuse).await;
    harness.dynamodb_proxy.cut_and_wait().await;
    until(&server, 503, "unavailable").await;
    harness.dynamodb_proxy.heal().await;
    harness.redis.restart().await;
    until(&server, 200, "ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_health_command_tells_whether_it_answers() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[]).await;
    let port = server.api.url.rsplit(':').next().unwrap().to_owned();
    let ask = async |host: &str| {
        let variables = [("PORT", &*port), ("HOST", host)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        spawn(&["health"], &variables).wait_exit().await.code()
    };
    assert_eq!(
        (ask("127.0.0.1").await, ask("0.0.0.0").await),
        (Some(0), Some(0))
    );
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
    assert_eq!(ask("127.0.0.1").await, Some(1));
}
