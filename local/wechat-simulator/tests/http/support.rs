//! A simulator with a manual clock, and helpers that call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use wechat_simulator::{Clock, Simulator};

pub const APP: &str = "wx00000000000000a1";
pub const SECRET: &str = "secret-of-the-first-app";
pub const OTHER_APP: &str = "wx00000000000000b2";
pub const OTHER_SECRET: &str = "secret-of-the-second-app";
/// The initial time of the clock, in seconds since 1970.
pub const START: u64 = 1_750_000_000;

pub struct TestSimulator {
    pub simulator: Simulator,
    router: Router,
    now: Arc<AtomicU64>,
}

pub struct TestResponse {
    pub status: StatusCode,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl TestResponse {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl TestSimulator {
    pub fn new() -> Self {
        let now = Arc::new(AtomicU64::new(START));
        let reading = Arc::clone(&now);
        let clock: Clock =
            Arc::new(move || UNIX_EPOCH + Duration::from_secs(reading.load(Ordering::SeqCst)));
        let apps = [(APP, SECRET), (OTHER_APP, OTHER_SECRET)];
        let apps = apps.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
        let simulator = Simulator::with_clock(apps, clock, Some(1));
        // Below a prefix, as in `make run`.
        let router = Router::new().nest("/_wechat", simulator.router());
        Self {
            simulator,
            router,
            now,
        }
    }

    pub fn advance(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> TestResponse {
        let uri = format!("/_wechat{path}");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(body.into())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let body = response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec();
        TestResponse {
            status,
            content_type,
            body,
        }
    }

    /// Expects HTTP 200, which WeChat's errors have too.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, Body::empty()).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.send("POST", path, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json()
    }

    pub async fn code_to_session(&self, code: &str) -> Value {
        self.get(&format!(
            "/sns/jscode2session?appid={APP}&secret={SECRET}&js_code={code}&grant_type=authorization_code"
        ))
        .await
    }

    /// Returns openid and `session_key`.
    pub async fn log_in(&self, user: &str) -> (String, String) {
        let code = self.simulator.mint_code(user, None).unwrap();
        let session = self.code_to_session(&code).await;
        (text(&session["openid"]), text(&session["session_key"]))
    }

    /// Calls `stable_token` with valid fields, some of them replaced.
    pub async fn stable_token(&self, over: Value) -> Value {
        let mut body = json!({"grant_type": "client_credential", "appid": APP, "secret": SECRET});
        for (name, value) in over.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post("/cgi-bin/stable_token", body).await
    }

    pub async fn access_token(&self) -> String {
        text(&self.stable_token(json!({})).await["access_token"])
    }
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

pub fn errcode(answer: &Value) -> i64 {
    answer["errcode"]
        .as_i64()
        .unwrap_or_else(|| panic!("no errcode: {answer}"))
}
