//! Injected faults, in process. `socket` tests what a client sees of a broken connection.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{TestResponse, TestSimulator, errcode};

const LOGIN: &str = "/sns/jscode2session";

async fn set(wechat: &TestSimulator, fault: Value) {
    let answer = wechat
        .send("PUT", "/_control/faults", fault.to_string())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
}

async fn log_in(wechat: &TestSimulator, code: &str) -> TestResponse {
    let (app, secret) = (crate::support::APP, crate::support::SECRET);
    let path =
        format!("{LOGIN}?appid={app}&secret={secret}&js_code={code}&grant_type=authorization_code");
    wechat.send("GET", &path, "").await
}

#[tokio::test]
async fn a_fault_with_an_errcode_replaces_the_call() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    set(&wechat, json!({"path": LOGIN, "errcode": -1, "times": 1})).await;
    let busy = log_in(&wechat, &code).await.json();
    assert_eq!(errcode(&busy), -1);
    assert!(log_in(&wechat, &code).await.json()["openid"].is_string());
    assert_eq!(wechat.simulator.calls(LOGIN), 2);
}

#[tokio::test]
async fn a_fault_with_a_status_sends_a_page_or_the_errcode() {
    let wechat = TestSimulator::new();
    set(&wechat, json!({"status": 502})).await;
    let answer = log_in(&wechat, "x").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.content_type, "text/html");
    set(&wechat, json!({"status": 500, "errcode": -1})).await;
    let answer = log_in(&wechat, "x").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(errcode(&answer.json()), -1);
}

#[tokio::test]
async fn garbage_is_not_json_and_the_code_is_used_up() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    set(&wechat, json!({"garbage": true, "times": 1})).await;
    let answer = log_in(&wechat, &code).await;
    assert_eq!(answer.status, StatusCode::OK);
    serde_json::from_slice::<Value>(&answer.body).unwrap_err();
    assert_eq!(errcode(&log_in(&wechat, &code).await.json()), 40163);
}

#[tokio::test]
async fn a_truncated_response_begins_like_the_real_one() {
    let wechat = TestSimulator::new();
    let code = wechat.simulator.mint_code("alice", None).unwrap();
    set(&wechat, json!({"garbage": "truncated"})).await;
    let answer = log_in(&wechat, &code).await;
    assert!(answer.body.starts_with(b"{\"openid\":\"o"));
    serde_json::from_slice::<Value>(&answer.body).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn latency_delays_the_response_and_combines_with_an_errcode() {
    let wechat = TestSimulator::new();
    set(&wechat, json!({"latencyMs": 1500, "errcode": -1})).await;
    let started = Instant::now();
    assert_eq!(errcode(&log_in(&wechat, "x").await.json()), -1);
    assert_eq!(started.elapsed(), Duration::from_millis(1500));
}

#[tokio::test]
async fn faults_can_be_listed_set_for_several_paths_and_cleared() {
    let wechat = TestSimulator::new();
    let faults = json!([{"path": "/cgi-bin/token", "status": 503}, {"errcode": -1}]);
    set(&wechat, faults).await;
    assert_eq!(errcode(&log_in(&wechat, "x").await.json()), -1);
    let token = wechat.send("GET", "/cgi-bin/token", "").await;
    assert_eq!(token.status, StatusCode::SERVICE_UNAVAILABLE);
    let result = wechat.get("/_control/faults").await;
    assert_eq!(result["faults"][0]["status"], json!(503));
    let cleared = wechat.send("DELETE", "/_control/faults", "").await;
    assert_eq!(cleared.json(), json!({"faults": []}));
    assert_eq!(errcode(&log_in(&wechat, "x").await.json()), 40029);
}

#[tokio::test]
async fn faults_do_not_affect_the_control_side() {
    let wechat = TestSimulator::new();
    set(&wechat, json!({"status": 500})).await;
    assert!(
        wechat
            .post("/_control/code", json!({"user": "alice"}))
            .await["code"]
            .is_string()
    );
}
