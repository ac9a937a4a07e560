//! The playground of `make run`: the page at `/`, what it reads below `/_playground`, and whom both refuse.

use std::{future::pending, io::Write};

use e2e::{
    http::{Answer, Client, Request},
    test_app::{SharedState::InProcess, TestApp, Tokens},
};
use local::{Gateway, LogTail};
use reqwest::header::HeaderMap;
use rstest::rstest;
use serde_json::{Value, json};
use shared::config::Env;
use tempfile::TempDir;

/// What a browser sends that shows a page.
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// What the page reads.
const READS: [&str; 4] = [
    "/_playground/about",
    "/_playground/live",
    "/_playground/rows",
    "/_playground/page/main.js",
];
const ADMINISTRATOR: &str = "/_playground/administrator";

/// `make run`, in this process.
struct Backend {
    client: Client,
    log: LogTail,
    _folder: TempDir,
}

impl Backend {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let given = [("PORT", "0"), ("DATA_DIR", data)].into_iter();
        let env = Env::new(given.chain(variables.iter().copied()));
        let log = LogTail::default();
        let gateway = Gateway::start(env, log.clone()).await.unwrap();
        let url = format!("http://{}", gateway.address);
        tokio::spawn(gateway.serve(pending()));
        Self {
            client: Client::new(&url),
            log,
            _folder: folder,
        }
    }

    async fn log_in(&self, person: &str) -> Tokens {
        let code = self
            .client
            .post("/_wechat/_control/code", &json!({"user": person}));
        let code: Value = serde_json::from_slice(&code.send_raw().await.2).unwrap();
        let login = self
            .client
            .post("/api/v1/user/login", &json!({"code": code["code"]}));
        Tokens::of(&login.send().await)
    }

    /// Logs a message. The log writes each line at once.
    fn log_line(&mut self, message: &str) {
        let line = format!("{{\"message\":\"{message}\"}}\n");
        self.log.write_all(line.as_bytes()).unwrap();
    }

    /// The `data` of what the page reads.
    async fn read(&self, path: &str, token: Option<&str>) -> Value {
        let request = self.client.get(path);
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        let (status, _, body) = request.send_raw().await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["data"].clone()
    }
}

/// Status, headers, and the body as text.
async fn sent(request: Request) -> (u16, HeaderMap, String) {
    let (status, headers, body) = request.send_raw().await;
    (status, headers, String::from_utf8(body).unwrap())
}

/// Status and reason.
async fn refused(request: Request) -> (u16, String) {
    let (status, _, body) = sent(request).await;
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    (
        status,
        body["reason"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_the_page_and_its_files() {
    let backend = Backend::start(&[]).await;
    let (status, headers, page) = sent(backend.client.get("/").header("accept", HTML)).await;
    assert_eq!(
        (status, &headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let named = page
        .split('"')
        .filter(|part| part.starts_with("/_playground/page/"));
    let mut count = 0;
    for path in named {
        let (status, headers, _) = sent(backend.client.get(path)).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        count += 1;
    }
    assert!(count >= 3, "{count}");
    let nothing = backend.client.get("/_playground/page/nothing.js");
    assert_eq!(refused(nothing).await, (404, "not_found".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_programs_the_root_is_a_path_without_a_route() {
    let backend = Backend::start(&[]).await;
    for accept in [None, Some("*/*"), Some("application/json")] {
        let request = backend.client.get("/");
        let request = match accept {
            Some(accept) => request.header("accept", accept),
            None => request,
        };
        request.send().await.fails(404, "not_found");
    }
    let post = backend.client.post("/", &json!({}));
    post.header("accept", HTML)
        .send()
        .await
        .fails(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_another_name_there_is_no_page() {
    let backend = Backend::start(&[]).await;
    let request = backend.client.get("/").header("accept", HTML);
    let answer = request.header("host", "evil.example").send().await;
    answer.fails(404, "not_found");
    // A link on another site leads to it nevertheless.
    let request = backend.client.get("/").header("accept", HTML);
    let (status, ..) = sent(request.header("sec-fetch-site", "cross-site")).await;
    assert_eq!(status, 200);
}

#[rstest]
#[case::rebound_name("host", "evil.example:9000")]
#[case::address_of_this_machine_in_a_network("host", "192.168.1.7:9000")]
#[case::page_elsewhere("origin", "https://evil.example")]
#[case::page_on_another_port("origin", "http://127.0.0.1:1")]
#[case::sandboxed_page("origin", "null")]
#[case::request_of_another_site("sec-fetch-site", "cross-site")]
#[case::request_of_another_port("sec-fetch-site", "same-site")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_pages_are_refused(#[case] header: &str, #[case] value: &str) {
    let backend = Backend::start(&[]).await;
    let tokens = backend.log_in("alice").await;
    let refusal = (403, "forbidden".to_owned());
    for path in READS {
        let request = backend.client.get(path).bearer(&tokens.access);
        assert_eq!(
            refused(request.header(header, value)).await,
            refusal,
            "{path}"
        );
    }
    let request = backend
        .client
        .request("POST", ADMINISTRATOR)
        .bearer(&tokens.access);
    assert_eq!(refused(request.header(header, value)).await, refusal);
    let info = backend
        .client
        .get("/api/v1/user/info")
        .bearer(&tokens.access);
    assert_eq!(info.send().await.ok(200)["role"], "user");
}

/// A page on the web could otherwise have the simulator push that a person cancelled, which deletes their account.
#[rstest]
#[case::rebound_name("host", "evil.example:9000")]
#[case::page_elsewhere("origin", "https://evil.example")]
#[case::request_of_another_site("sec-fetch-site", "cross-site")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_on_the_web_controls_the_simulated_wechat(
    #[case] header: &str,
    #[case] value: &str,
) {
    let backend = Backend::start(&[]).await;
    let tokens = backend.log_in("alice").await;
    let cancellation = json!({"user": "alice", "event": "user_authorization_cancellation"});
    let push = "/_wechat/_control/push";
    let request = backend
        .client
        .post(push, &cancellation)
        .header(header, value);
    assert_eq!(request.send_raw().await.0, 403);
    let info = backend
        .client
        .get("/api/v1/user/info")
        .bearer(&tokens.access);
    info.send().await.ok(200);
    let own = backend.client.post(push, &cancellation);
    assert_eq!(own.send_raw().await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_callers_own_without_secrets() {
    let backend = Backend::start(&[]).await;
    let missing = backend.client.get("/_playground/rows");
    assert_eq!(refused(missing).await, (401, "token_missing".to_owned()));
    let invalid = backend.client.get("/_playground/rows").bearer("e.y.J");
    assert_eq!(refused(invalid).await, (401, "token_invalid".to_owned()));
    let (alice, bob) = (backend.log_in("alice").await, backend.log_in("bob").await);
    let found = backend.read("/_playground/rows", Some(&alice.access)).await;
    let rows = found["rows"].as_array().unwrap();
    let sort_keys: Vec<_> = rows.iter().map(|row| row["sk"].as_str().unwrap()).collect();
    assert_eq!(sort_keys[0], "PROFILE");
    assert_eq!(sort_keys[1], format!("SESSION#{}", alice.session_id()));
    assert_eq!(sort_keys[2..], ["IDENTITY"]);
    assert_eq!(rows[0]["attributes"]["id"], alice.user_id());
    let withheld = rows[2]["withheld"].as_array().unwrap();
    assert!(withheld.contains(&json!("sessionKey")), "{withheld:?}");
    assert_eq!(rows[2]["attributes"].get("sessionKey"), None);
    assert!(!found.to_string().contains(&bob.user_id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_stay_visible_when_the_session_has_ended() {
    let backend = Backend::start(&[]).await;
    let tokens = backend.log_in("alice").await;
    let logout = backend.client.post("/api/v1/user/logout", &json!({}));
    logout.bearer(&tokens.access).send().await.ok(200);
    let found = backend
        .read("/_playground/rows", Some(&tokens.access))
        .await;
    let session = &found["rows"][1]["attributes"];
    assert!(session["revokedAt"].is_string(), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_makes_its_user_an_administrator() {
    let backend = Backend::start(&[]).await;
    let tokens = backend.log_in("alice").await;
    let users = || backend.client.get("/api/v1/users").bearer(&tokens.access);
    users().send().await.fails(403, "forbidden");
    let anonymous = backend.client.request("POST", ADMINISTRATOR);
    assert_eq!(refused(anonymous).await, (401, "token_missing".to_owned()));
    let request = backend
        .client
        .request("POST", ADMINISTRATOR)
        .bearer(&tokens.access);
    assert_eq!(sent(request).await.0, 200);
    users().send().await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_makes_nobody_an_administrator_whose_session_has_ended() {
    let backend = Backend::start(&[]).await;
    let tokens = backend.log_in("alice").await;
    let logout = backend.client.post("/api/v1/user/logout", &json!({}));
    logout.bearer(&tokens.access).send().await.ok(200);
    let request = backend.client.request("POST", ADMINISTRATOR);
    let answer = refused(request.bearer(&tokens.access)).await;
    assert_eq!(answer, (401, "session_revoked".to_owned()));
}

/// There, anybody who logs in would be an administrator of a real mini-program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_wechat_or_table_nobody_is_made_an_administrator() {
    let simulated = Backend::start(&[]).await;
    let tokens = simulated.log_in("alice").await;
    let elsewhere = [("WECHAT_BASE_URL", "http://127.0.0.1:1")];
    let other_table = [("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")];
    for variables in [elsewhere, other_table] {
        let backend = Backend::start(&variables).await;
        assert_eq!(
            backend.read("/_playground/about", None).await["makesAdministrators"],
            false
        );
        // The same keys: these are the local ones.
        let request = backend
            .client
            .request("POST", ADMINISTRATOR)
            .bearer(&tokens.access);
        assert_eq!(
            refused(request).await,
            (403, "forbidden".to_owned()),
            "{variables:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_read_on_from_where_the_page_is_and_is_bounded() {
    let mut backend = Backend::start(&[]).await;
    backend.log_line("first");
    let live = backend.read("/_playground/live", None).await;
    assert_eq!(live["breaker"]["state"], "closed");
    assert_eq!(live["log"]["lines"], json!([r#"{"message":"first"}"#]));
    let next = live["log"]["next"].as_u64().unwrap();
    for number in 0..LogTail::CAPACITY + 3 {
        backend.log_line(&number.to_string());
    }
    let path = format!("/_playground/live?since={next}");
    let log = &backend.read(&path, None).await["log"];
    let lines = log["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &log["lost"]), (LogTail::CAPACITY, &json!(3)));
    assert_eq!(lines[0], r#"{"message":"3"}"#);
    let path = format!("/_playground/live?since={}", log["next"]);
    assert_eq!(backend.read(&path, None).await["log"]["lines"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_reads_is_never_kept() {
    let backend = Backend::start(&[]).await;
    for path in [
        "/_playground/about",
        "/_playground/live",
        "/_playground/page/main.js",
    ] {
        let (_, headers, _) = sent(backend.client.get(path)).await;
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(
            headers["cross-origin-resource-policy"], "same-origin",
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_functions_themselves_have_none_of_it() {
    let app = TestApp::start(InProcess).await;
    let answer: Answer = app
        .api
        .request("GET", "/")
        .header("accept", HTML)
        .send()
        .await;
    answer.fails(404, "not_found");
    for path in READS {
        app.api
            .request("GET", path)
            .send()
            .await
            .fails(404, "not_found");
    }
}
