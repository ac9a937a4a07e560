//! Who may do what.

use e2e::{
    http::Answer,
    settings::OTHER_APP_ID,
    test_app::{
        SharedState::{self, InProcess, Redis},
        TestApp, Tokens, capture,
    },
};
use rstest::rstest;
use serde_json::json;

use super::{BANNER, LIST, create};

/// Sends a valid request to each route of administrators.
async fn requests(app: &TestApp, token: &str) -> [Answer; 3] {
    let value = json!({"value": 1, "version": 1});
    [
        app.api.list_config(token, "").await,
        app.api.put_config(token, "home.banner", &value).await,
        app.api.delete_config(token, "home.banner").await,
    ]
}

/// Asserts that all refuse the caller, and that nothing is written.
async fn all_refuse(app: &TestApp, token: &str, status: u16, reason: &str) {
    let before = app.rows().await;
    for answer in requests(app, token).await {
        answer.fails(status, reason);
    }
    assert!(app.rows().await == before, "rows were written");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_administrators_change_values(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = (app.administrator("root").await, app.log_in("alice").await);
    create(&app.api, &root, "home.banner", "welcome").await;
    all_refuse(&app, &alice.access, 403, "forbidden").await;
    all_refuse(&app, "x", 401, "token_invalid").await;
    for (method, path) in [("GET", LIST), ("PUT", BANNER), ("DELETE", BANNER)] {
        let anonymous = app.api.request(method, path).json(&json!({"value": 1}));
        anonymous.send().await.fails(401, "token_missing");
    }
    // Nor does another mini-program make one an administrator.
    let code = app.code_in(OTHER_APP_ID, "alice");
    let elsewhere = Tokens::of(&app.api.login_in(OTHER_APP_ID, &code).await);
    all_refuse(&app, &elsewhere.access, 403, "forbidden").await;
    for answer in requests(&app, &root.access).await {
        answer.ok(200);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_whose_rights_end_changes_nothing_more(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let app = TestApp::start(state).await;
    let [demoted, disabled, logged_out] = ["demoted", "disabled", "logged-out"];
    let mut tokens = Vec::new();
    for person in [demoted, disabled, logged_out] {
        tokens.push(app.administrator(person).await);
    }
    create(&app.api, &tokens[0], "home.banner", "welcome").await;
    app.set_role(&tokens[0].user_id(), "user").await;
    all_refuse(&app, &tokens[0].access, 403, "forbidden").await;
    app.disable(&tokens[1].user_id()).await;
    all_refuse(&app, &tokens[1].access, 403, "user_disabled").await;
    app.api.logout(&tokens[2].access).await.ok(200);
    all_refuse(&app, &tokens[2].access, 401, "session_revoked").await;
    app.clock.advance_seconds(7300);
    all_refuse(&app, &tokens[1].access, 401, "token_expired").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_reads(#[values(InProcess, Redis)] state: SharedState) {
    let app = TestApp::start(state).await;
    let (root, alice) = (app.administrator("root").await, app.log_in("alice").await);
    create(&app.api, &root, "home.banner", "welcome").await;
    app.api.config("home.banner").await.ok(200);
    for token in [root.access.as_str(), &alice.access, "x"] {
        let request = app.api.request("GET", BANNER).bearer(token);
        assert_eq!(request.send().await.ok(200)["value"], "welcome");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changed_what_is_logged_without_the_value(
    #[values(InProcess, Redis)] state: SharedState,
) {
    let log = capture();
    let app = TestApp::start(state).await;
    let root = app.administrator("root").await;
    let key = format!("audit.{}", root.user_id());
    create(&app.api, &root, &key, "do-not-log-me").await;
    app.api.delete_config(&root.access, &key).await.ok(200);
    for (audit, version) in [("config_changed", 1), ("config_deleted", 2)] {
        let lines = log.logs().json_where("audit", &audit.into());
        let lines: Vec<_> = lines.iter().filter(|line| line["key"] == key).collect();
        assert_eq!(lines.len(), 1, "{audit}");
        assert_eq!(lines[0]["administrator_id"], root.user_id());
        assert_eq!(lines[0]["version"], version);
    }
    assert!(!log.logs().to_string().contains("do-not-log-me"));
    let row = app.table.item(&format!("CONFIG#{key}"), "CONFIG").await;
    assert_eq!(row.unwrap()["changedBy"].as_s().unwrap(), &root.user_id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_is_charged_to_the_address() {
    let app = TestApp::builder(Redis)
        .set("RATE_LIMIT_GUEST", "1/h burst 3")
        .start()
        .await;
    app.api.config("unknown").await.fails(404, "not_found");
    app.api.config("UPPER").await.fails_at(&["key"]);
    let answer = app.api.config("unknown").await;
    answer.fails(404, "not_found");
    assert!(
        answer
            .header("ratelimit")
            .unwrap()
            .contains("\"guest\";r=0")
    );
    for key in ["unknown", "UPPER"] {
        app.api.config(key).await.fails(429, "rate_limited");
    }
}
