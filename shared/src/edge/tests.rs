use std::time::Duration;

use axum::{
    body::Body,
    http::Request,
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{api::Success, config::Env};

fn app(vars: &[(&str, &str)]) -> Router {
    let routes = Router::new()
        .route("/ok", get(async || Success(json!({}))))
        .route("/panic", get(panics))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_mins(1)).await))
        .route("/read", post(async |body: axum::body::Bytes| body.len().to_string()));
    let edge = Edge { clock: Clock::System, random: Random::seeded(1), cold: Arc::new(AtomicBool::new(true)) };
    stack(routes, edge, &EdgeSettings::read(&Env::new(vars.to_vec())))
}

async fn panics() -> StatusCode {
    let code = String::from("secret code");
    panic!("{code}")
}

async fn send(app: Router, request: Request<Body>) -> (http::response::Parts, Value) {
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, serde_json::from_slice(&body).unwrap_or_default())
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).unwrap()
}

#[tokio::test]
async fn answers_that_no_handler_wrote_are_envelopes_too() {
    let cases = [
        (request("GET", "/nowhere", ""), 404, "not_found"),
        (request("POST", "/ok", ""), 405, "method_not_allowed"),
        (request("GET", "/panic", ""), 500, "internal"),
        (request("POST", "/read", vec![b'x'; MAX_BODY + 1]), 413, "body_too_large"),
    ];
    for (request, status, reason) in cases {
        let (parts, body) = send(app(&[]), request).await;
        assert_eq!((parts.status.as_u16(), &body["reason"]), (status, &json!(reason)));
        assert_eq!((&body["code"], &body["data"]), (&json!(status), &Value::Null));
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert_eq!(parts.headers["x-request-id"].len(), 36);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_past_its_deadline_is_a_504() {
    let (parts, body) = send(app(&[]), request("GET", "/slow", "")).await;
    assert_eq!((parts.status.as_u16(), &body["reason"]), (504, &json!("upstream_timeout")));
}

#[tokio::test]
async fn a_405_says_what_is_allowed() {
    let (parts, _) = send(app(&[]), request("DELETE", "/ok", "")).await;
    assert_eq!(parts.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn the_platforms_request_id_is_kept_and_a_clients_is_not() {
    let mut platform = request("GET", "/ok", "");
    platform.extensions_mut().insert(RequestId("JKJaXmPLvHcESHA=".into()));
    let (parts, _) = send(app(&[]), platform).await;
    assert_eq!(parts.headers["x-request-id"], "JKJaXmPLvHcESHA=");
    let mut client = request("GET", "/ok", "");
    client.headers_mut().insert("x-request-id", HeaderValue::from_static("mine"));
    let (parts, _) = send(app(&[]), client).await;
    assert_ne!(parts.headers["x-request-id"], "mine");
}

#[tokio::test]
async fn cors_is_off_unless_configured() {
    let preflight = || {
        let mut request = request("OPTIONS", "/ok", "");
        request.headers_mut().insert("origin", HeaderValue::from_static("https://a.example"));
        request.headers_mut().insert("access-control-request-method", HeaderValue::from_static("GET"));
        request
    };
    let (off, _) = send(app(&[]), preflight()).await;
    assert!(!off.headers.contains_key("access-control-allow-origin"));
    let (on, _) = send(app(&[("CORS_ORIGINS", "https://a.example")]), preflight()).await;
    assert_eq!(on.headers["access-control-allow-origin"], "https://a.example");
}
