//! AWS's Parameters and Secrets extension: the process beside a function that answers for SSM
//! Parameter Store and Secrets Manager on loopback.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html>

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{background, settings::AWS_SESSION, within_patience};

/// A running extension. Cheap to clone; ends with the test process.
#[derive(Clone)]
pub struct SecretsExtension {
    /// Where it listens.
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<Stored>,
    /// How many requests came, and how many were running at the same time.
    calls: watch::Sender<Calls>,
}

#[derive(Default)]
struct Stored {
    parameters: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    fault: Fault,
}

/// The requests so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All requests.
    pub total: usize,
    /// Requests that have no answer yet.
    pub running: usize,
    /// The most that ran at the same time.
    pub at_once: usize,
}

/// What goes wrong, for all requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The first event has not reached it.
    NotReady,
    /// Answers come this late.
    Slow(Duration),
    /// The service behind it answers with this status.
    Status(u16),
}

impl SecretsExtension {
    /// Starts one with nothing stored.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts one on this port.
    pub async fn start_on(port: u16) -> Self {
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            calls: watch::Sender::default(),
        });
        let app = Router::new()
            .route("/systemsmanager/parameters/get", get(parameter))
            .route("/secretsmanager/get", get(secret))
            .with_state(Arc::clone(&inner));
        let serving = background().spawn(async move {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            background().spawn(axum::serve(listener, app).into_future());
            port
        });
        Self {
            port: serving.await.unwrap(),
            inner,
        }
    }

    /// Stores a parameter, a `SecureString`.
    pub fn put_parameter(&self, name: &str, value: &str) {
        self.inner
            .state
            .lock()
            .unwrap()
            .parameters
            .insert(name.to_owned(), value.to_owned());
    }

    /// Stores a secret.
    pub fn put_secret(&self, id: &str, value: &str) {
        self.inner
            .state
            .lock()
            .unwrap()
            .secrets
            .insert(id.to_owned(), value.to_owned());
    }

    /// Copies everything stored here to `other`.
    pub fn copy_to(&self, other: &Self) {
        let (known, mut target) = (
            self.inner.state.lock().unwrap(),
            other.inner.state.lock().unwrap(),
        );
        target.parameters.clone_from(&known.parameters);
        target.secrets.clone_from(&known.secrets);
    }

    /// From now on this goes wrong.
    pub fn set_fault(&self, fault: Fault) {
        self.inner.state.lock().unwrap().fault = fault;
    }

    /// What was asked so far.
    pub fn calls(&self) -> Calls {
        *self.inner.calls.borrow()
    }

    /// Waits until there were more than `total` requests.
    pub async fn asked_again(&self, total: usize) {
        let mut calls = self.inner.calls.subscribe();
        within_patience(
            "a request to the extension",
            calls.wait_for(|calls| calls.total > total),
        )
        .await
        .unwrap();
    }
}

async fn parameter(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    assert_eq!(
        query.get("withDecryption").map(String::as_str),
        Some("true"),
        "a SecureString is to be decrypted"
    );
    let name = query["name"].clone();
    let found = |stored: &Stored| {
        let value = stored.parameters.get(&name)?;
        let parameter = json!({"Name": name, "Type": "SecureString", "Value": value, "Version": 1});
        Some(json!({"Parameter": parameter, "ResultMetadata": {}}))
    };
    answer(&inner, &headers, found).await
}

async fn secret(
    State(inner): State<Arc<Inner>>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let id = query["secretId"].clone();
    let found = |stored: &Stored| {
        let value = stored.secrets.get(&id)?;
        Some(
            json!({"ARN": "arn", "Name": id, "SecretString": value, "VersionStages": ["AWSCURRENT"]}),
        )
    };
    answer(&inner, &headers, found).await
}

async fn answer(
    inner: &Inner,
    headers: &HeaderMap,
    found: impl Fn(&Stored) -> Option<Value>,
) -> Response {
    inner.calls.send_modify(|calls| {
        calls.total += 1;
        calls.running += 1;
        calls.at_once = calls.at_once.max(calls.running);
    });
    let response = respond(inner, headers, found).await;
    inner.calls.send_modify(|calls| calls.running -= 1);
    response
}

async fn respond(
    inner: &Inner,
    headers: &HeaderMap,
    found: impl Fn(&Stored) -> Option<Value>,
) -> Response {
    if headers
        .get("X-Aws-Parameters-Secrets-Token")
        .is_none_or(|token| token != AWS_SESSION)
    {
        return (StatusCode::UNAUTHORIZED, "token not valid").into_response();
    }
    let fault = inner.state.lock().unwrap().fault;
    match fault {
        Fault::None => {}
        Fault::NotReady => {
            return (
                StatusCode::BAD_REQUEST,
                "not ready to serve traffic, please wait",
            )
                .into_response();
        }
        Fault::Slow(time) => tokio::time::sleep(time).await,
        Fault::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
    }
    let found = found(&inner.state.lock().unwrap());
    match found {
        Some(value) => value.to_string().into_response(),
        // Like the real one, for a name that does not exist and for one that may not be read.
        None => (
            StatusCode::BAD_REQUEST,
            "an unexpected error occurred while executing request",
        )
            .into_response(),
    }
}
