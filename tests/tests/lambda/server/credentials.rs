//! AWS credentials: of the environment, of a container's platform, of an EC2 instance.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::{get, put},
};
use e2e::{binaries, settings::Settings, within_patience};
use serde_json::json;
use shared::clock::Clock;
use tokio::{net::TcpListener, time::sleep};

use super::{Running, SIMULATOR, spawn, with_aws};
use crate::harness::{LambdaHarness, functions};

/// How often keys were given.
type Count = Arc<AtomicUsize>;

/// Keys that expire in a few seconds, each time others.
fn keys(count: &Count) -> String {
    let number = count.fetch_add(1, Ordering::SeqCst);
    let keys = json!({
        "AccessKeyId": format!("AKID{number}"), "SecretAccessKey": "hunter2",
        "Token": format!("token{number}"),
        "Expiration": Clock::System.now() + Duration::from_secs(4),
    });
    keys.to_string()
}

/// The URL of these routes.
async fn served(router: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// The platform of a container.
async fn platform() -> String {
    let give = async |State(count): State<Count>, headers: HeaderMap| {
        assert_eq!(headers["authorization"], "proof");
        keys(&count)
    };
    let router = Router::new().route("/keys", get(give));
    let url = served(router.with_state(Count::default())).await;
    format!("{url}/keys")
}

/// The metadata of an EC2 instance, version 2: without its token, nothing is told.
async fn metadata() -> String {
    let is_allowed = |headers: &HeaderMap| {
        let token = headers.get("x-aws-ec2-metadata-token");
        token.is_some_and(|token| token == "metadata-token")
    };
    let token = async |headers: HeaderMap| {
        assert_eq!(headers["x-aws-ec2-metadata-token-ttl-seconds"], "300");
        "metadata-token"
    };
    let roles = async move |headers: HeaderMap| {
        let roles = is_allowed(&headers).then_some("weapp-role\n");
        roles.ok_or(StatusCode::UNAUTHORIZED)
    };
    let role = async move |State(count): State<Count>, headers: HeaderMap| {
        let role = is_allowed(&headers).then(|| keys(&count));
        role.ok_or(StatusCode::UNAUTHORIZED)
    };
    let folder = "/latest/meta-data/iam/security-credentials/";
    let router = Router::new()
        .route("/latest/api/token", put(token))
        .route(folder, get(roles))
        .route(&format!("{folder}weapp-role"), get(role));
    served(router.with_state(Count::default())).await
}

/// Who has asked a DynamoDB: access key, date, region.
type Seen = Arc<Mutex<BTreeSet<String>>>;

/// A DynamoDB that has nothing, and remembers who asked.
async fn empty_dynamodb() -> (String, Seen) {
    let seen = Seen::default();
    let note = async |State(seen): State<Seen>, headers: HeaderMap| {
        let authorization = headers["authorization"].to_str().unwrap();
        let (_, scope) = authorization.split_once("Credential=").unwrap();
        let scope: Vec<_> = scope.split('/').collect();
        if let Some(token) = headers.get("x-amz-security-token") {
            let token = token.to_str().unwrap();
            assert_eq!(token.replace("token", "AKID"), scope[0]);
        }
        let who = format!("{} in {}", scope[0], scope[2]);
        seen.lock().unwrap().insert(who);
        ([(CONTENT_TYPE, "application/x-amz-json-1.0")], "{}")
    };
    let router = Router::new().fallback(note).with_state(Arc::clone(&seen));
    (served(router).await, seen)
}

/// Settings without keys, for this DynamoDB.
fn without_keys(harness: &LambdaHarness, dynamodb: &str) -> Settings {
    let settings = harness.settings.clone().with("PORT", "0");
    settings
        .with("AWS_REGION", "eu-west-1")
        .with("AWS_ENDPOINT_URL_DYNAMODB", dynamodb)
        .with(SIMULATOR.0, SIMULATOR.1)
}

/// Asks until three pairs of keys were used, the first ones in order.
async fn renews(settings: &Settings, seen: &Seen) {
    let server = Running::start(settings.variables()).await;
    within_patience("three pairs of keys", async {
        while seen.lock().unwrap().len() < 3 {
            assert_eq!(server.ready().await.0, 200);
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let first: Vec<_> = seen.lock().unwrap().iter().take(3).cloned().collect();
    let wanted = ["AKID0", "AKID1", "AKID2"].map(|id| format!("{id} in eu-west-1"));
    assert_eq!(first, wanted);
    assert!(!server.process.logs().contain("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_a_container_are_renewed_before_they_expire() {
    let harness = LambdaHarness::start().await;
    let (dynamodb, seen) = empty_dynamodb().await;
    let proof = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(proof.path(), "proof\n").unwrap();
    let settings = without_keys(&harness, &dynamodb)
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &platform().await)
        .with(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            proof.path().to_str().unwrap(),
        );
    renews(&settings, &seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_an_instance_are_renewed_before_they_expire() {
    let harness = LambdaHarness::start().await;
    let (dynamodb, seen) = empty_dynamodb().await;
    let settings = without_keys(&harness, &dynamodb)
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata().await);
    renews(&settings, &seen).await;
}

#[tokio::test]
async fn missing_credentials_name_the_source() {
    let harness = LambdaHarness::start().await;
    let settings = without_keys(&harness, "http://127.0.0.1:1")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    let process = spawn(&[], settings.variables());
    assert_eq!(process.wait_exit().await.code(), Some(1));
    let logs = process.logs();
    assert!(
        logs.contain("the metadata service of EC2 gives no credentials"),
        "{logs}"
    );
}

#[tokio::test]
async fn a_table_is_made_with_the_keys_of_the_settings() {
    let harness = LambdaHarness::start().await;
    let (dynamodb, seen) = empty_dynamodb().await;
    let settings = harness.settings.clone();
    let settings = settings.with("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb);
    let mut variables = with_aws(&settings);
    for (name, value) in &mut variables {
        match name.as_str() {
            "AWS_ACCESS_KEY_ID" => "AKIDX".clone_into(value),
            "AWS_REGION" => "eu-west-1".clone_into(value),
            _ => {}
        }
    }
    variables.retain(|(name, _)| name != "AWS_SESSION_TOKEN");
    let process = spawn(&["create-table"], &variables);
    let code = process.wait_exit().await.code();
    assert_eq!(code, Some(0), "{}", process.logs());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["AKIDX in eu-west-1"]);
}

/// Looking for credentials would cost every cold start (docs/decisions/0010).
#[test]
fn functions_do_not_link_what_looks_for_credentials() {
    let contains = |binary: &Path| {
        let text = "x-aws-ec2-metadata-token";
        let mut grep = Command::new("grep");
        let status = grep
            .args(["-aqF", "--", text])
            .arg(binary)
            .status()
            .unwrap();
        status.success()
    };
    assert!(
        contains(binaries::path("server")),
        "this test searches for nothing"
    );
    for function in functions() {
        assert!(!contains(binaries::path(&function)), "{function}");
    }
}
