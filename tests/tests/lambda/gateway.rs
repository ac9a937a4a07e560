//! `make run`: the gateway's binary, as a person runs it.

use std::{
    fs,
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use e2e::{
    binaries,
    http::Client,
    http1::Message,
    logs::Logs,
    process::{Process, Spawn},
    redis_server::RedisServer,
    settings::APPS,
    test_app::{Api, CODE2SESSION, Tokens},
};
use rustix::process::Signal;
use serde_json::{Deserializer, Value, json};
use tempfile::TempDir;
use wechat_simulator::Simulator;

/// The last line of the banner before its curl lines.
const TRY: &str = "Try (Ctrl-C ends):";
/// Any port that is free.
pub const ANY_PORT: (&str, &str) = ("PORT", "0");
/// A mini-program.
const APP_ID: &str = APPS[0].0;
/// Its secret.
const APP_SECRET: &str = APPS[0].1;
/// How soon Ctrl-C has to end it.
const SOON: Duration = Duration::from_secs(3);

/// The gateway in a folder, with nothing in its environment but these variables.
fn spawn(folder: &Path, variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(binaries::path("local"));
    command
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied());
    Spawn::new(command).guarded().spawn()
}

/// A gateway that has printed its banner.
pub struct Running {
    pub process: Process,
    pub api: Api,
}

impl Running {
    pub async fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let process = spawn(folder, variables);
        let line = process.wait_for_line("weapp-serverless on ").await;
        process.wait_for_line(TRY).await;
        let api = Api::new(line.strip_prefix("weapp-serverless on ").unwrap());
        Self { process, api }
    }

    /// The banner's line about one part.
    fn part(&self, name: &str) -> String {
        let logs = self.process.logs();
        let line = logs
            .lines()
            .iter()
            .find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in the banner:\n{logs}"))
            .trim()
            .to_owned()
    }

    /// Host and port of the embedded database.
    pub fn database(&self) -> String {
        self.part("DynamoDB")
            .split_once("http://")
            .unwrap()
            .1
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    }

    /// What `wx.login` gives this person.
    pub async fn code(&self, person: &str) -> String {
        let control =
            Client::new(&self.api.url).post("/_wechat/_control/code", &json!({"user": person}));
        let (status, _, body) = control.send_raw().await;
        assert_eq!(status, 200);
        serde_json::from_slice::<Value>(&body).unwrap()["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Sends the signal and awaits a clean end.
    pub async fn end(self, signal: Signal) {
        let signalled = Instant::now();
        self.process.signal(signal);
        let status = self.process.wait_exit().await;
        assert_eq!(status.code(), Some(0), "{}", self.process.logs());
        assert!(
            signalled.elapsed() < SOON,
            "it took {:?}",
            signalled.elapsed()
        );
    }
}

/// The log of a gateway that is expected not to start.
async fn refusal(folder: &Path, variables: &[(&str, &str)]) -> Logs {
    let process = spawn(folder, variables);
    let code = process.wait_exit().await.code();
    assert_eq!(code, Some(1), "{}", process.logs());
    process.logs()
}

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_curl_lines_work() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    gateway.process.wait_for_line("/api/v1/user/phone").await;
    let logs = gateway.process.logs();
    let printed = logs.lines().iter().skip_while(|line| *line != TRY).skip(1);
    let script: Vec<_> = printed
        .take_while(|line| line.starts_with("  "))
        .map(String::as_str)
        .collect();
    assert!(script.len() >= 4, "{logs}");

    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script.join("\n")])
        .current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || bash.output().unwrap())
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let answers: Vec<Value> = Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let [health, login, info, change, data, phone, push] = answers.as_slice() else {
        panic!("{answers:?}\n{errors}")
    };
    assert_eq!(health["data"]["status"], "ok");
    assert_eq!(login["data"]["isNewUser"], true);
    assert_eq!(info["data"], login["data"]["user"]);
    assert_eq!(
        (&change["data"]["id"], &change["data"]["nickname"]),
        (&info["data"]["id"], &"小明".into())
    );
    assert_eq!(
        (
            &data["code"],
            data["data"]["stepInfoList"].as_array().unwrap().len()
        ),
        (&200.into(), 31)
    );
    assert_eq!(phone["data"]["id"], info["data"]["id"]);
    assert!(
        phone["data"]["phone"].as_str().unwrap().starts_with("138"),
        "{phone}"
    );
    assert_eq!(
        (&push["status"], &push["answer"]),
        (&200.into(), &"success".into())
    );
    let tokens = Tokens {
        access: login["data"]["token"].as_str().unwrap().to_owned(),
        refresh: String::new(),
    };
    assert_eq!(
        gateway.api.info(&tokens.access).await.ok(200)["nickname"],
        Value::Null,
        "taken back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_sessions_survive_a_restart() {
    let folder = folder();
    let first = Running::start(folder.path(), &[ANY_PORT]).await;
    let tokens = Tokens::of(&first.api.login(&first.code("alice").await).await);
    first.end(Signal::INT).await;

    let second = Running::start(folder.path(), &[ANY_PORT]).await;
    second.api.info(&tokens.access).await.ok(200);
    let again = second.api.login(&second.code("alice").await).await;
    assert_eq!(again.ok(200)["isNewUser"], false);
    assert_eq!(again.data()["user"]["id"], tokens.user_id());
    second.end(Signal::INT).await;
}

/// `local admin …` in a folder: its exit code, and what it printed.
async fn make_admin(folder: &Path, user: &str) -> (Option<i32>, String) {
    command(folder, &["admin", user]).await
}

/// Runs a command of an operator; its exit code and what it prints.
async fn command(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binaries::path("local"));
    command.args(arguments).current_dir(folder).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn make_admin_finds_the_database_of_make_run_whether_it_runs_or_not() {
    let folder = folder();
    let (code, text) = make_admin(folder.path(), "0193c0de-0000-7000-8000-00000000abcd").await;
    assert!(
        code == Some(1) && text.contains("nothing is stored"),
        "{text}"
    );
    assert!(!folder.path().join(".data").exists());

    let first = Running::start(folder.path(), &[ANY_PORT]).await;
    let alice = Tokens::of(&first.api.login(&first.code("alice").await).await);
    let bob = Tokens::of(&first.api.login(&first.code("bob").await).await);
    first
        .api
        .users(&alice.access, "")
        .await
        .fails(403, "forbidden");
    let (code, text) = make_admin(folder.path(), &alice.user_id()).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(r#""audit":"administrator_made""#), "{text}");
    first.api.users(&alice.access, "").await.ok(200);
    let (code, text) = make_admin(folder.path(), "0193c0de-0000-7000-8000-00000000abcd").await;
    assert!(code == Some(1) && text.contains("no such user"), "{text}");
    let (code, text) = make_admin(folder.path(), "alice").await;
    assert!(
        code == Some(1) && text.contains("is not a user id"),
        "{text}"
    );
    first.end(Signal::INT).await;

    let (code, text) = make_admin(folder.path(), &bob.user_id()).await;
    assert_eq!(code, Some(0), "{text}");
    let second = Running::start(folder.path(), &[ANY_PORT]).await;
    second.api.users(&bob.access, "").await.ok(200);
    second.end(Signal::INT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn make_sagas_continues_deletions_that_wait() {
    let folder = folder();
    let cooling = ("DELETION_COOLING_DAYS", "1");
    let gateway = Running::start(folder.path(), &[ANY_PORT, cooling]).await;
    let alice = Tokens::of(&gateway.api.login(&gateway.code("alice").await).await);
    let (code, text) = command(folder.path(), &["sagas"]).await;
    assert!(
        code == Some(0) && text.starts_with("nothing has stopped half-way"),
        "{text}"
    );
    let deletion = gateway.api.delete_account(&alice.access).await;
    let deletion = deletion.ok(202);
    let (code, text) = command(folder.path(), &["sagas"]).await;
    let [saga, until] = ["saga", "until"].map(|name| deletion[name].as_str().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with(saga), "{text}");
    let waits = format!("waits until {until}");
    assert!(text.contains(&waits), "{text}");
    assert!(!text.contains(&alice.user_id()), "{text}");
    gateway.end(Signal::INT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_and_sigterm_stop_it_despite_open_connections() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = folder();
        let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
        let address = gateway.api.url.strip_prefix("http://").unwrap().to_owned();
        let database = gateway.database();
        let _idle = [answered(&address), answered(&database)];
        let _silent = [
            TcpStream::connect(&address).unwrap(),
            TcpStream::connect(&database).unwrap(),
        ];
        gateway.end(signal).await;
    }
}

/// A connection that is kept alive after its first answer.
fn answered(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut input = BufReader::new(stream);
    Message::read(&mut input).unwrap().unwrap();
    input.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_reported_with_a_remedy() {
    let folder = folder();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let logs = refusal(folder.path(), &[("PORT", &port)]).await;
    assert!(
        logs.contain(&format!("127.0.0.1:{port} is in use")) && logs.contain("PORT="),
        "{logs}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suggested_port_is_free() {
    let folder = folder();
    let (taken, next) = two_ports_in_a_row();
    let port = taken.local_addr().unwrap().port();
    let logs = refusal(folder.path(), &[("PORT", &port.to_string())]).await;
    let suggested = logs.lines().iter().find_map(|line| {
        let rest = line.split_once(" PORT=")?.1;
        rest.split(' ').next()?.parse::<u16>().ok()
    });
    let suggested = suggested.unwrap_or_else(|| panic!("{logs}"));
    assert_ne!(suggested, next.local_addr().unwrap().port());
    TcpListener::bind(("127.0.0.1", suggested)).unwrap();
}

/// Two listeners whose ports follow each other.
fn two_ports_in_a_row() -> (TcpListener, TcpListener) {
    loop {
        let one = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(next) = TcpListener::bind(("127.0.0.1", port.saturating_add(1))) {
            return (one, next);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_name_is_resolved() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("HOST", "localhost")]).await;
    gateway.api.request("GET", "/health").send().await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_problems_are_reported_at_once_a_line_each() {
    let folder = folder();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("PORT", port.as_str()),
        ("LOG_LEVEL", "loud"),
        ("HOST", "no host of this name"),
        ("JWT_SECRETS", "short"),
        ("BREAKER_QUORUM", "99"),
        ("REDIS_URI", "redis://127.0.0.1:1"),
    ];
    let logs = refusal(folder.path(), &variables).await;
    for name in [
        "LOG_LEVEL",
        "HOST",
        "JWT_SECRETS",
        "BREAKER_QUORUM",
        "REDIS_URL",
    ] {
        let own = logs
            .lines()
            .iter()
            .filter(|line| line.trim().starts_with(&format!("{name}: ")));
        assert_eq!(own.count(), 1, "{name}:\n{logs}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelled_setting_is_refused_and_an_unknown_one_is_shown() {
    let folder = folder();
    let logs = refusal(folder.path(), &[ANY_PORT, ("WECHAT_APPID", APP_ID)]).await;
    assert!(logs.contain("WECHAT_APPIDS: WECHAT_APPID is set"), "{logs}");
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("REDIS_PASSWORD", "hunter2")]).await;
    assert!(gateway.part("ignored").starts_with("REDIS_PASSWORD "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_banner_says_that_app_ids_without_secrets_are_simulated() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("WECHAT_APPIDS", APP_ID)]).await;
    let wechat = gateway.part("WeChat");
    assert!(
        wechat.starts_with("simulated") && wechat.contains("WECHAT_SECRETS is not set"),
        "{wechat}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_banner_says_why_redis_is_not_reached() {
    let folder = folder();
    let url = format!("redis://:hunter2@127.0.0.1:{}", e2e::free_port());
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("REDIS_URL", &url)]).await;
    let state = gateway.part("shared state");
    assert!(
        state.contains("NOT REACHED") && state.contains("Connection refused"),
        "{state}"
    );
    assert!(!gateway.process.logs().contain("hunter2"));
    gateway.api.request("GET", "/health").send().await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_dir_is_used_by_one_process_at_a_time() {
    let folder = folder();
    let first = Running::start(folder.path(), &[ANY_PORT]).await;
    let logs = refusal(folder.path(), &[ANY_PORT]).await;
    assert!(logs.contain(".data is in use"), "{logs}");
    first.end(Signal::INT).await;
    Running::start(folder.path(), &[ANY_PORT]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_dir_that_cannot_be_made_is_named() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let logs = refusal(folder.path(), &[ANY_PORT, ("DATA_DIR", "file/data")]).await;
    assert!(logs.contain("DATA_DIR: file/data can't be used"), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_the_data_dir_in_use_is_told() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    fs::remove_dir_all(folder.path().join(".data")).unwrap();
    gateway
        .process
        .wait_for_line("the data was deleted while in use")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_start_lists_the_names_that_are_ignored() {
    let folder = folder();
    let variables = [
        ANY_PORT,
        ("REFRESH_GRACE_SECONDS", "9999"),
        ("REDIS_PASSWORD", "hunter2"),
    ];
    let logs = refusal(folder.path(), &variables).await;
    let ignored = "ignored: REDIS_PASSWORD (no settings have these names)";
    assert!(
        logs.contain("REFRESH_GRACE_SECONDS") && logs.contain(ignored),
        "{logs}"
    );
    assert!(!logs.contain("hunter2"), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_read_from_a_dotenv_file() {
    let folder = folder();
    fs::write(
        folder.path().join(".env"),
        "# mine\nPORT=0\nDATA_DIR=of-the-file\nPROT=1\n",
    )
    .unwrap();
    let gateway = Running::start(folder.path(), &[]).await;
    gateway.process.wait_for_line("PROT is not a setting").await;
    assert!(
        gateway.part("DynamoDB").ends_with("(data in of-the-file)"),
        "{}",
        gateway.part("DynamoDB")
    );
    assert!(folder.path().join("of-the-file").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_overrides_the_dotenv_file() {
    let folder = folder();
    fs::write(folder.path().join(".env"), "PORT=1\nDATA_DIR=of-the-file\n").unwrap();
    let gateway = Running::start(
        folder.path(),
        &[ANY_PORT, ("DATA_DIR", "of-the-environment")],
    )
    .await;
    assert!(
        gateway
            .part("DynamoDB")
            .ends_with("(data in of-the-environment)"),
        "{}",
        gateway.part("DynamoDB")
    );
    assert!(!folder.path().join("of-the-file").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_dotenv_file_is_refused_without_quoting_it() {
    let folder = folder();
    fs::write(
        folder.path().join(".env"),
        "JWT_SECRETS hunter2-without-an-equals-sign\n",
    )
    .unwrap();
    let logs = refusal(folder.path(), &[ANY_PORT]).await;
    assert!(logs.contain(".env") && !logs.contain("hunter2"), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_line_of_a_dotenv_file_is_named() {
    let folder = folder();
    let text = "\u{feff}PORT=0\r\nhunter2\r\nJWT_ISSUER=\"hunter2\r\n";
    fs::write(folder.path().join(".env"), text).unwrap();
    let logs = refusal(folder.path(), &[]).await;
    for error in [
        ".env, line 2: is not NAME=value",
        ".env, line 3: JWT_ISSUER: has a quote",
    ] {
        assert!(logs.contain(error) && !logs.contain("hunter2"), "{logs}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_a_dotenv_file_arrives_as_it_is() {
    let (folder, redis) = (folder(), RedisServer::start().await);
    let mut connection = redis.connection().await;
    let password = "aB$cdEF-1234567890";
    let _: () = redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", password])
        .query_async(&mut connection)
        .await
        .unwrap();
    let url = redis
        .url()
        .replace("redis://", &format!("redis://:{password}@"));
    for quote in ["", "\""] {
        let text = format!("PORT=0\nREDIS_URL={quote}{url}{quote}\n");
        fs::write(folder.path().join(".env"), text).unwrap();
        let gateway = Running::start(folder.path(), &[]).await;
        assert_eq!(gateway.part("shared state"), "Redis (REDIS_URL)");
        gateway.end(Signal::INT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_setting_is_named_without_quoting_its_value() {
    let folder = folder();
    for name in [
        "PORT",
        "HOST",
        "DYNAMODB_PORT",
        "LOG_LEVEL",
        "JWT_SECRETS",
        "DATA_KEYS",
        "REDIS_URL",
        "WECHAT_BASE_URL",
    ] {
        let mut variables = vec![ANY_PORT];
        variables.retain(|(other, _)| *other != name);
        variables.push((name, "hunter2"));
        let logs = refusal(folder.path(), &variables).await;
        assert!(
            logs.contain(&format!("{name}: ")) && !logs.contain("hunter2"),
            "{name}:\n{logs}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_redis_url_shared_state_is_in_redis() {
    let (folder, redis) = (folder(), RedisServer::start().await);
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("REDIS_URL", &redis.url())]).await;
    assert!(gateway.part("shared state").starts_with("Redis"));
    let tokens = Tokens::of(&gateway.api.login(&gateway.code("alice").await).await);
    gateway.api.info(&tokens.access).await.ok(200);
    let mut keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut redis.connection().await)
        .await
        .unwrap();
    // Rate limits are stored there as well.
    keys.retain(|key| !key.contains("}:rl:"));
    keys.sort();
    for start in ["{i:", "{login:"] {
        let key = keys.remove(0);
        assert!(key.starts_with(start), "{key}");
    }
    assert_eq!(
        keys,
        [
            format!("{{s:{}}}", tokens.session_id()),
            format!("{{u:{}}}:profile", tokens.user_id()),
            format!("{{u:{}}}:sessions:20", tokens.user_id())
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_wechat_base_url_that_server_is_called() {
    let folder = folder();
    let wechat = Simulator::new([(APP_ID.to_owned(), APP_SECRET.to_owned())]);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, wechat.router()).into_future());
    let secrets = format!("{APP_ID}:{APP_SECRET}");
    let there = [
        ("WECHAT_BASE_URL", url.as_str()),
        ("WECHAT_APPIDS", APP_ID),
        ("WECHAT_SECRETS", &secrets),
    ];
    let gateway = Running::start(folder.path(), &[&[ANY_PORT], there.as_slice()].concat()).await;
    assert_eq!(gateway.part("WeChat"), url);
    gateway
        .api
        .login(&wechat.mint_code("alice", None).unwrap())
        .await
        .ok(200);
    assert_eq!(wechat.calls(CODE2SESSION), 1);
    gateway
        .api
        .request("POST", "/_wechat/_control/code")
        .json(&json!({"user": "alice"}))
        .send()
        .await
        .fails(404, "not_found");
}

/// Every time, or a developer calls `wx.login` again for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_code_against_the_simulator_is_explained() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    let real = "0a1Hfk000iGLxN1Ajk200MZ3Eb1Hfk0N";
    for _ in 0..2 {
        let answer = gateway.api.login(real).await;
        answer.fails(400, "code_invalid");
        assert!(answer.message().contains("WECHAT_SECRETS"), "{answer:?}");
        assert!(answer.message().contains("模拟"), "{answer:?}");
    }
    let line = gateway.process.wait_for_line("WeChat is simulated").await;
    assert!(!line.contains(real), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_banner_shows_the_databases_address() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    let tokens = Tokens::of(&gateway.api.login(&gateway.code("alice").await).await);
    let table = local::database_client(&format!("http://{}", gateway.database()));
    let users = table.scan().table_name("weapp").send().await.unwrap();
    let key = format!("USER#{}", tokens.user_id());
    assert!(
        users
            .items()
            .iter()
            .any(|row| row["pk"].as_s().is_ok_and(|pk| *pk == key))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_served_on_a_separate_port() {
    let folder = folder();
    let gateway = Running::start(folder.path(), &[ANY_PORT, ("METRICS_PORT", "0")]).await;
    let code = gateway.code("alice").await;
    let tokens = Tokens::of(&gateway.api.login(&code).await);
    gateway.api.info(&tokens.access).await.ok(200);
    gateway
        .api
        .info("no-token-of-ours")
        .await
        .fails(401, "token_invalid");
    gateway
        .api
        .request("BREW", "/pot/of/coffee")
        .send()
        .await
        .fails(404, "not_found");
    // Not on the public port.
    gateway
        .api
        .request("GET", "/metrics")
        .send()
        .await
        .fails(404, "not_found");
    let url = gateway.part("metrics");
    let (status, headers, text) = Client::new(url.strip_suffix("/metrics").unwrap())
        .get("/metrics")
        .send_raw()
        .await;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain"),
        "{headers:?}"
    );
    for line in [
        "# TYPE requests_total counter",
        r#"requests_total{route="/api/v1/user/info",method="GET",status="200"} 1"#,
        r#"requests_total{route="/api/v1/user/info",method="GET",status="401"} 1"#,
        r#"requests_total{route="unmatched",method="other",status="404"} 1"#,
        "# TYPE request_latency_seconds histogram",
        r#"request_latency_seconds_count{route="/api/v1/user/login"} 1"#,
        r#"request_latency_seconds_bucket{route="/api/v1/user/login",le="+Inf"} 1"#,
        r#"upstream_latency_seconds_count{upstream="wechat"} 1"#,
    ] {
        assert!(
            text.lines().any(|known| known == line),
            "no {line} in:\n{text}"
        );
    }
    assert!(
        text.contains(r#"upstream_latency_seconds_count{upstream="dynamodb"}"#),
        "{text}"
    );
    let own = [
        ("the code", code.as_str()),
        ("an access token", &tokens.access),
        ("the user", &tokens.user_id()),
    ];
    Logs::new(vec![text]).assert_without_secrets(own);
    gateway.end(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_start_takes_less_than_three_seconds() {
    let folder = folder();
    Running::start(folder.path(), &[ANY_PORT])
        .await
        .end(Signal::INT)
        .await;
    let gateway = Running::start(folder.path(), &[ANY_PORT]).await;
    gateway.api.request("GET", "/health").send().await.ok(200);
    assert!(gateway.process.started().elapsed() < Duration::from_secs(3));
}
