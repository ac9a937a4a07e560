//! The server's binary: what it refuses, whether it is ready, and that no request is lost when it stops.

use std::{
    collections::BTreeSet,
    io::{BufReader, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    routing::get,
};
use e2e::{
    binaries,
    http1::Message,
    process::{Process, Spawn},
    settings::{AWS_ENVIRONMENT, Settings},
    test_app::{Api, Tokens},
    wire_proxy::Fault,
    within_patience,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::{net::TcpListener, time::sleep};

use crate::harness::{LambdaHarness, functions};

/// Allowed in tests alone: WeChat is simulated.
const SIMULATOR: (&str, &str) = ("ALLOW_SIMULATOR", "on");

/// The server with nothing in its environment but these variables.
fn spawn(arguments: &[&str], variables: &[(String, String)]) -> Process {
    let mut command = Command::new(binaries::path("server"));
    let variables = variables.iter().map(|(name, value)| (name, value));
    command.args(arguments).env_clear().envs(variables);
    Spawn::new(command).guarded().spawn()
}

/// With credentials and region, as most environments have them.
fn with_aws(settings: &Settings) -> Vec<(String, String)> {
    let aws = AWS_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let port = ("PORT".to_owned(), "0".to_owned());
    let given = settings.variables().iter().cloned();
    aws.into_iter().chain([port]).chain(given).collect()
}

/// A server that serves.
struct Running {
    process: Process,
    api: Api,
    metrics: Option<String>,
}

impl Running {
    async fn start(variables: &[(String, String)]) -> Self {
        let process = spawn(&[], variables);
        let line = process.wait_for_line("\"message\":\"serving\"").await;
        let line: Value = serde_json::from_str(&line).unwrap();
        let url = |name: &str| Some(format!("http://{}", line[name].as_str()?));
        Self {
            api: Api::new(&url("address").unwrap()),
            metrics: url("metrics"),
            process,
        }
    }

    /// Behind everything that the harness has.
    async fn with(harness: &LambdaHarness, more: &[(&str, &str)]) -> Self {
        let settings = more.iter().chain([&SIMULATOR]);
        let settings = settings.fold(harness.settings.clone(), |settings, (name, value)| {
            settings.with(name, value)
        });
        Self::start(&with_aws(&settings)).await
    }

    /// Status and body of `/ready`.
    async fn ready(&self) -> (u16, Value) {
        let (status, _, body) = self.api.request("GET", "/ready").send_raw().await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn log_in(&self, harness: &LambdaHarness, person: &str) -> Tokens {
        Tokens::of(&self.api.login(&harness.code(person)).await)
    }
}

/// The names of the settings for which the server does not start.
async fn refused(variables: &[(&str, &str)]) -> BTreeSet<String> {
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

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn what_is_meant_for_development_is_refused() {
    let aws = [
        ("PORT", "0"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&aws[..], more].concat();
    let missing = refused(&aws).await;
    let required = [
        "AWS_REGION",
        "DATA_KEYS",
        "JWT_SECRETS",
        "WECHAT_APPIDS",
        "WECHAT_SECRETS",
    ];
    assert_eq!(missing, set(&required));
    let simulated = with(&[
        ("WECHAT_BASE_URL", "http://127.0.0.1:9000/_wechat"),
        (
            "WECHAT_SECRETS",
            "wx0000000000000001:simulated-app-secret-of-wx1",
        ),
    ]);
    assert_eq!(
        refused(&simulated).await,
        set(&["WECHAT_BASE_URL", "WECHAT_SECRETS"])
    );
    let defaults = with(&[
        ("AWS_REGION", "us-east-1"),
        ("WECHAT_APPIDS", "wx0123456789abcdef"),
        ("WECHAT_SECRETS", "wx0123456789abcdef:k3f9s0d8f7a6h5j4"),
        ("JWT_SECRETS", shared::config::LOCAL_JWT_SECRET),
        ("DATA_KEYS", shared::config::LOCAL_DATA_KEYS),
    ]);
    assert_eq!(refused(&defaults).await, set(&["DATA_KEYS", "JWT_SECRETS"]));
    let both = with(&[
        ("EMBEDDED_DATA", "/nowhere"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ]);
    assert_eq!(refused(&both).await, set(&["EMBEDDED_DATA"]));
    let misspelled = with(&[("WECHAT_APPID", "wx1")]);
    assert_eq!(refused(&misspelled).await, set(&["WECHAT_APPIDS"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_data_survives_a_restart() {
    let harness = LambdaHarness::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = harness
        .settings
        .clone()
        .without("AWS_ENDPOINT_URL_DYNAMODB")
        .without("REDIS_URL")
        .with("EMBEDDED_DATA", folder.path().to_str().unwrap())
        .with(SIMULATOR.0, SIMULATOR.1)
        .with("PORT", "0");
    // No region, no credentials, and nobody is asked for them.
    let server = Running::start(settings.variables()).await;
    let tokens = server.log_in(&harness, "alice").await;
    server.api.info(&tokens.access).await.ok(200);
    assert_eq!(server.ready().await.1["sharedState"], "memory");
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
    let again = Running::start(settings.variables()).await;
    let info = again.api.info(&tokens.access).await;
    assert_eq!(info.ok(200)["id"], tokens.user_id());
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

/// What is found is repeated for a second.
async fn until(server: &Running, status: u16, word: &str) {
    within_patience(word, async {
        loop {
            let (found, body) = server.ready().await;
            if (found, body["status"].as_str()) == (status, Some(word)) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
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

/// What became of the requests of one connection.
#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    answered: AtomicUsize,
    /// Connections that the server said it would close.
    closed: AtomicUsize,
}

/// Sends one request after the other on one connection, until the server says that it closes it.
#[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
fn keep_asking(address: &str, request: &str, counts: &Counts) {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        counts.sent.fetch_add(1, Ordering::SeqCst);
        if output.write_all(request.as_bytes()).is_err() {
            return;
        }
        let Ok(Some(answer)) = Message::read(&mut input) else {
            return;
        };
        assert_eq!(answer.start_line, "HTTP/1.1 200 OK");
        counts.answered.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == Some("close") {
            counts.closed.fetch_add(1, Ordering::SeqCst);
            return;
        }
        // Some of them are idle at the moment of the stop.
        let pause = u64::try_from(counts.sent.load(Ordering::SeqCst) % 20).unwrap();
        std::thread::sleep(Duration::from_millis(pause));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_lost_when_it_stops_under_load() {
    const CONNECTIONS: usize = 16;
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[]).await;
    let tokens = server.log_in(&harness, "alice").await;
    let address = server.api.url.strip_prefix("http://").unwrap().to_owned();
    let request = format!(
        "GET /api/v1/user/info HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
        tokens.access
    );
    let counts = Arc::new(Counts::default());
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, request) = (address.clone(), request.clone());
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || keep_asking(&address, &request, &counts))
        })
        .collect();
    within_patience("some load", async {
        while counts.answered.load(Ordering::SeqCst) < 100 {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // One that is still waiting for WeChat when the signal comes.
    let slow = wechat_simulator::Fault {
        latency_ms: Some(700),
        ..wechat_simulator::Fault::default()
    };
    harness.wechat.set_faults([slow]).unwrap();
    let (api, code) = (server.api.clone(), harness.code("bob"));
    let login = tokio::spawn(async move { api.login(&code).await });
    within_patience("the call to WeChat", async {
        while harness.code2session_calls() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.process.signal(Signal::TERM);
    assert_eq!(
        server.process.wait_exit().await.code(),
        Some(0),
        "{}",
        server.process.logs()
    );
    login.await.unwrap().ok(200);
    for client in clients {
        client.join().unwrap();
    }
    let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    assert_eq!(count(&counts.sent), count(&counts.answered));
    assert_eq!(count(&counts.closed), CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_balancers_are_told_before_the_port_closes() {
    let harness = LambdaHarness::start().await;
    let server = Running::with(&harness, &[("SHUTDOWN_DELAY_SECONDS", "2")]).await;
    let tokens = server.log_in(&harness, "alice").await;
    server.process.signal(Signal::TERM);
    until(&server, 503, "stopping").await;
    // Everything else goes on.
    server.api.info(&tokens.access).await.ok(200);
    assert_eq!(server.process.wait_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_does_not_end_is_abandoned_and_told() {
    let harness = LambdaHarness::start().await;
    let more = [("SHUTDOWN_SECONDS", "1"), ("WECHAT_TIMEOUT_MS", "7000")];
    let server = Running::with(&harness, &more).await;
    let slow = wechat_simulator::Fault {
        latency_ms: Some(6000),
        ..wechat_simulator::Fault::default()
    };
    harness.wechat.set_faults([slow]).unwrap();
    let (api, code) = (server.api.clone(), harness.code("alice"));
    let login = tokio::spawn(async move {
        let body = json!({"code": code});
        let request = api.request("POST", "/api/v1/user/login").json(&body);
        request.send_raw().await
    });
    within_patience("the call to WeChat", async {
        while harness.code2session_calls() < 1 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait_exit().await.code(), Some(1));
    assert!(server.process.logs().contain("requests unanswered"));
    login.abort();
}

/// A platform that gives a container keys which expire in a few seconds, each time others.
async fn platform() -> String {
    let count = Arc::new(AtomicUsize::new(0));
    let keys = async |State(count): State<Arc<AtomicUsize>>, headers: HeaderMap| {
        assert_eq!(headers["authorization"], "proof");
        let number = count.fetch_add(1, Ordering::SeqCst);
        let expires = Clock::System.now() + Duration::from_secs(4);
        let keys = json!({
            "AccessKeyId": format!("AKID{number}"), "SecretAccessKey": "hunter2",
            "Token": format!("token{number}"), "Expiration": expires,
        });
        keys.to_string()
    };
    let router = Router::new().route("/keys", get(keys)).with_state(count);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

/// A DynamoDB that has nothing, and remembers who asked.
async fn empty_dynamodb() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let note = async |State(seen): State<Arc<Mutex<BTreeSet<String>>>>, headers: HeaderMap| {
        let authorization = headers["authorization"].to_str().unwrap();
        let (_, id) = authorization.split_once("Credential=").unwrap();
        let id = id.split('/').next().unwrap().to_owned();
        let token = headers["x-amz-security-token"].to_str().unwrap();
        assert_eq!(token.replace("token", "AKID"), id);
        seen.lock().unwrap().insert(id);
        ([(CONTENT_TYPE, "application/x-amz-json-1.0")], "{}")
    };
    let router = Router::new().fallback(note).with_state(Arc::clone(&seen));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_a_container_are_renewed_before_they_expire() {
    let harness = LambdaHarness::start().await;
    let (dynamodb, seen) = empty_dynamodb().await;
    let proof = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(proof.path(), "proof\n").unwrap();
    let settings = harness
        .settings
        .clone()
        .with("AWS_REGION", "us-east-1")
        .with("PORT", "0")
        .with("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb)
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &platform().await)
        .with(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            proof.path().to_str().unwrap(),
        )
        .with(SIMULATOR.0, SIMULATOR.1);
    let server = Running::start(settings.variables()).await;
    within_patience("three pairs of keys", async {
        while seen.lock().unwrap().len() < 3 {
            assert_eq!(server.ready().await.0, 200);
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    assert!(!server.process.logs().contain("hunter2"));
}

#[tokio::test]
async fn without_credentials_it_says_where_it_has_looked() {
    let nobody = [
        ("PORT", "0"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let variables = nobody.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let process = spawn(&[], &variables);
    assert_eq!(process.wait_exit().await.code(), Some(1));
    let logs = process.logs();
    assert!(
        logs.contain("the metadata service of EC2 gives no credentials"),
        "{logs}"
    );
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
