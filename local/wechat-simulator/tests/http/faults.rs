//! Faults, in process. What a client sees of a broken connection is in `socket`.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Answer, Bench, errcode};

const LOGIN: &str = "/sns/jscode2session";

async fn set(bench: &Bench, fault: Value) {
    let answer = bench
        .send("PUT", "/_control/faults", fault.to_string())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
}

async fn log_in(bench: &Bench, code: &str) -> Answer {
    let (app, secret) = (crate::support::APP, crate::support::SECRET);
    let path =
        format!("{LOGIN}?appid={app}&secret={secret}&js_code={code}&grant_type=authorization_code");
    bench.send("GET", &path, "").await
}

#[tokio::test]
async fn an_errcode_comes_in_wechats_place_and_has_no_effect() {
    let bench = Bench::new();
    let code = bench.simulator.mint_code("alice", None).unwrap();
    set(&bench, json!({"path": LOGIN, "errcode": -1, "times": 1})).await;
    let busy = log_in(&bench, &code).await.json();
    assert_eq!(errcode(&busy), -1);
    assert!(log_in(&bench, &code).await.json()["openid"].is_string());
    assert_eq!(bench.simulator.calls(LOGIN), 2);
}

#[tokio::test]
async fn a_status_comes_with_a_page_or_with_an_errcode() {
    let bench = Bench::new();
    set(&bench, json!({"status": 502})).await;
    let answer = log_in(&bench, "x").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answer.content_type, "text/html");
    set(&bench, json!({"status": 500, "errcode": -1})).await;
    let answer = log_in(&bench, "x").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(errcode(&answer.json()), -1);
}

#[tokio::test]
async fn garbage_is_not_json_and_the_code_is_used_up() {
    let bench = Bench::new();
    let code = bench.simulator.mint_code("alice", None).unwrap();
    set(&bench, json!({"garbage": true, "times": 1})).await;
    let answer = log_in(&bench, &code).await;
    assert_eq!(answer.status, StatusCode::OK);
    serde_json::from_slice::<Value>(&answer.body).unwrap_err();
    assert_eq!(errcode(&log_in(&bench, &code).await.json()), 40163);
}

#[tokio::test]
async fn a_truncated_answer_begins_like_the_true_one() {
    let bench = Bench::new();
    let code = bench.simulator.mint_code("alice", None).unwrap();
    set(&bench, json!({"garbage": "truncated"})).await;
    let answer = log_in(&bench, &code).await;
    assert!(answer.body.starts_with(b"{\"openid\":\"o"));
    serde_json::from_slice::<Value>(&answer.body).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn latency_holds_an_answer_back_and_combines() {
    let bench = Bench::new();
    set(&bench, json!({"latencyMs": 1500, "errcode": -1})).await;
    let started = Instant::now();
    assert_eq!(errcode(&log_in(&bench, "x").await.json()), -1);
    assert_eq!(started.elapsed(), Duration::from_millis(1500));
}

#[tokio::test]
async fn faults_can_be_listed_set_for_several_paths_and_cleared() {
    let bench = Bench::new();
    let faults = json!([{"path": "/cgi-bin/token", "status": 503}, {"errcode": -1}]);
    set(&bench, faults).await;
    assert_eq!(errcode(&log_in(&bench, "x").await.json()), -1);
    let token = bench.send("GET", "/cgi-bin/token", "").await;
    assert_eq!(token.status, StatusCode::SERVICE_UNAVAILABLE);
    let told = bench.get("/_control/faults").await;
    assert_eq!(told["faults"][0]["status"], json!(503));
    let cleared = bench.send("DELETE", "/_control/faults", "").await;
    assert_eq!(cleared.json(), json!({"faults": []}));
    assert_eq!(errcode(&log_in(&bench, "x").await.json()), 40029);
}

#[tokio::test]
async fn the_control_side_meets_no_faults() {
    let bench = Bench::new();
    set(&bench, json!({"status": 500})).await;
    assert!(bench.post("/_control/code", json!({"user": "alice"})).await["code"].is_string());
}
