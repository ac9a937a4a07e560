use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    http::Request,
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{api::Success, config::Env};
use http::StatusCode;

fn app(vars: &[(&str, &str)]) -> Router {
    let routes = Router::new()
        .route("/ok", get(async || Success(json!({}))))
        .route("/panic", get(panics))
        .route(
            "/slow",
            get(async || tokio::time::sleep(Duration::from_mins(1)).await),
        )
        .route("/late", get(waits_for_late_work))
        .route(
            "/read",
            post(async |body: axum::body::Bytes| body.len().to_string()),
        );
    stack(
        routes,
        parts(),
        &EdgeSettings::read(&Env::new(vars.to_vec())),
    )
}

fn parts() -> EdgeParts {
    EdgeParts {
        clock: Clock::System,
        random: Random::seeded(1),
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        sealed: None,
    }
}

async fn waits_for_late_work() {
    let work = tokio::time::sleep(Duration::from_secs(11));
    let _ = crate::request::run_to_end(work).await;
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
    Request::builder()
        .method(method)
        .uri(path)
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn framework_errors_use_the_envelope() {
    let cases = [
        (request("GET", "/nowhere", ""), 404, "not_found"),
        (request("POST", "/ok", ""), 405, "method_not_allowed"),
        (request("GET", "/panic", ""), 500, "internal"),
        (
            request("POST", "/read", vec![b'x'; MAX_BODY + 1]),
            413,
            "body_too_large",
        ),
    ];
    for (request, status, reason) in cases {
        let (parts, body) = send(app(&[]), request).await;
        assert_eq!(
            (parts.status.as_u16(), &body["reason"]),
            (status, &json!(reason))
        );
        assert_eq!(
            (&body["code"], &body["data"]),
            (&json!(status), &Value::Null)
        );
        assert_eq!(parts.headers["cache-control"], "no-store");
        assert_eq!(parts.headers["x-request-id"].len(), 36);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_past_its_deadline_gets_a_504() {
    let (parts, body) = send(app(&[]), request("GET", "/slow", "")).await;
    assert_eq!(
        (parts.status.as_u16(), &body["reason"]),
        (504, &json!("upstream_timeout"))
    );
}

/// Lambda freezes the instance with the answer, and whatever still runs in it.
#[tokio::test(start_paused = true)]
async fn where_an_answer_freezes_the_process_it_waits_for_work_that_outlives_the_request() {
    for (platform, answered) in [
        // The work ends 3 s after the request's own deadline.
        (Some(20_000), 11_000),
        // Not all of it fits: the invocation must not fail for it.
        (Some(9000), 8900),
        // A server runs on after its answer.
        (None, 8000),
    ] {
        let start = tokio::time::Instant::now();
        let mut request = request("GET", "/late", "");
        if let Some(milliseconds) = platform {
            request.extensions_mut().insert(Arrival {
                deadline: Some(start + Duration::from_millis(milliseconds)),
                ..Arrival::default()
            });
        }
        let (parts, _) = send(app(&[]), request).await;
        assert_eq!(parts.status, 504);
        assert_eq!(start.elapsed().as_millis(), answered, "{platform:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_platform_deadline_is_met() {
    for (platform, answered) in [
        (Some(5000), 4800),
        (Some(60_000), 8000),
        (Some(100), 0),
        (None, 8000),
    ] {
        let start = tokio::time::Instant::now();
        let mut request = request("GET", "/slow", "");
        if let Some(milliseconds) = platform {
            request.extensions_mut().insert(Arrival {
                deadline: Some(start + Duration::from_millis(milliseconds)),
                ..Arrival::default()
            });
        }
        let (parts, body) = send(app(&[]), request).await;
        assert_eq!(
            (parts.status.as_u16(), &body["reason"]),
            (504, &json!("upstream_timeout"))
        );
        assert_eq!(start.elapsed().as_millis(), answered, "{platform:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_inherit_the_deadline_of_their_request() {
    let route = get(async || {
        Success(json!(
            crate::request::deadline::remaining().map(|left| left.as_millis())
        ))
    });
    let routes = Router::new().route("/left", route);
    let app = stack(
        routes,
        parts(),
        &EdgeSettings::read(&Env::new([("REQUEST_TIMEOUT_MS", "3000")])),
    );
    let (_, body) = send(app, request("GET", "/left", "")).await;
    assert_eq!(body["data"], 3000);
}

#[tokio::test]
async fn the_client_is_the_peer_or_the_address_that_a_trusted_proxy_saw() {
    let whoami = async |client: Option<Extension<ClientIp>>| match client {
        Some(Extension(client)) => client.address().to_string(),
        None => "nobody".to_owned(),
    };
    let cases = [
        (Some("203.0.113.7"), "192.0.2.1", "203.0.113.7"),
        (Some("10.0.0.1"), "192.0.2.1", "192.0.2.1"),
        (None, "192.0.2.1", "nobody"),
    ];
    for (peer, header, expected) in cases {
        let routes = Router::new().route("/", get(whoami));
        let mut request = request("GET", "/", "");
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static(header));
        request.extensions_mut().insert(Arrival {
            peer: peer.map(|peer| peer.parse().unwrap()),
            ..Arrival::default()
        });
        let app = stack(routes, parts(), &EdgeSettings::read(&Env::new([("", "")])));
        let body = app
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn a_405_lists_the_allowed_methods() {
    let (parts, _) = send(app(&[]), request("DELETE", "/ok", "")).await;
    assert_eq!(parts.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn the_platforms_request_id_is_kept_and_a_clients_is_ignored() {
    let mut platform = request("GET", "/ok", "");
    platform.extensions_mut().insert(Arrival {
        request_id: Some("JKJaXmPLvHcESHA=".to_owned()),
        ..Arrival::default()
    });
    let (parts, _) = send(app(&[]), platform).await;
    assert_eq!(parts.headers["x-request-id"], "JKJaXmPLvHcESHA=");
    let mut client = request("GET", "/ok", "");
    client
        .headers_mut()
        .insert("x-request-id", HeaderValue::from_static("mine"));
    let (parts, _) = send(app(&[]), client).await;
    assert_ne!(parts.headers["x-request-id"], "mine");
}

#[tokio::test]
async fn cors_is_off_unless_configured() {
    let preflight = || {
        let mut request = request("OPTIONS", "/ok", "");
        request
            .headers_mut()
            .insert("origin", HeaderValue::from_static("https://a.example"));
        request.headers_mut().insert(
            "access-control-request-method",
            HeaderValue::from_static("GET"),
        );
        request
    };
    let (off, _) = send(app(&[]), preflight()).await;
    assert!(!off.headers.contains_key("access-control-allow-origin"));
    let (on, _) = send(app(&[("CORS_ORIGINS", "https://a.example")]), preflight()).await;
    assert_eq!(
        on.headers["access-control-allow-origin"],
        "https://a.example"
    );
    // A page reads an entity tag and sends it back.
    let allowed = on.headers["access-control-allow-headers"].to_str().unwrap();
    for wanted in ["if-match", "if-none-match"] {
        assert!(allowed.split(',').any(|name| name == wanted), "{allowed}");
    }
    let mut get = request("GET", "/ok", "");
    let origin = HeaderValue::from_static("https://a.example");
    get.headers_mut().insert("origin", origin);
    let (got, _) = send(app(&[("CORS_ORIGINS", "https://a.example")]), get).await;
    let exposed = got.headers["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for wanted in ["etag", "date"] {
        assert!(exposed.split(',').any(|name| name == wanted), "{exposed}");
    }
}
