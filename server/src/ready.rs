//! `GET /ready`: whether load balancers should send requests here.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use gateway::DataDir;
use serde::Serialize;
use shared::{dynamo::Dynamo, instance::Instance, kv::Kv, telemetry::describe};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};

/// For each probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// However many ask, probes run this often.
const LIFETIME: Duration = Duration::from_secs(1);

/// What is asked, and what was found last.
#[derive(Clone)]
struct Readiness {
    kv: Kv,
    dynamo: Dynamo,
    /// The embedded DynamoDB's, if there is one.
    folder: Option<Arc<DataDir>>,
    stopping: watch::Receiver<bool>,
    last: Arc<Mutex<Option<(Instant, Findings)>>>,
}

/// What was found of the stores.
#[derive(Clone, Copy, Serialize)]
struct Findings {
    dynamodb: &'static str,
    #[serde(rename = "sharedState")]
    shared_state: &'static str,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(flatten)]
    findings: Option<Findings>,
}

/// The route, for as long as `stopping` is false. It is outside of the edge: no log line, no rate
/// limit, and no place that a request could need.
pub(crate) fn router(
    instance: &Instance,
    folder: Option<Arc<DataDir>>,
    stopping: watch::Receiver<bool>,
) -> Router {
    let readiness = Readiness {
        kv: instance.kv(),
        dynamo: instance.dynamo(),
        folder,
        stopping,
        last: Arc::default(),
    };
    Router::new()
        .route("/ready", get(ready))
        .with_state(readiness)
}

/// Without DynamoDB nothing can be answered that is not cached. Without Redis everything can, only
/// slower: if that made a server unready, all servers would go at once.
async fn ready(State(readiness): State<Readiness>) -> Response {
    if *readiness.stopping.borrow() {
        return answer("stopping", None);
    }
    let findings = readiness.findings().await;
    let status = match findings {
        Findings {
            dynamodb: OK,
            shared_state: DOWN,
        } => "degraded",
        Findings { dynamodb: OK, .. } => "ready",
        _ => "unavailable",
    };
    answer(status, Some(findings))
}

const OK: &str = "ok";
const DOWN: &str = "down";

fn answer(status: &'static str, findings: Option<Findings>) -> Response {
    let code = match status {
        "ready" | "degraded" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "application/json"),
    ];
    // Texts: writing them as JSON does not fail.
    let report = serde_json::to_string(&Report { status, findings }).unwrap_or_default();
    (code, headers, report).into_response()
}

impl Readiness {
    /// What was found within the last second, or now.
    async fn findings(&self) -> Findings {
        let mut last = self.last.lock().await;
        if let Some((when, findings)) = *last
            && when.elapsed() < LIFETIME
        {
            return findings;
        }
        let (dynamodb, shared_state) = tokio::join!(
            probed("dynamodb", self.dynamo.probe()),
            probed(self.kv.name(), self.kv.probe()),
        );
        // It answers, but what it is given from now on is lost with this process.
        let is_lost = self.folder.as_ref().is_some_and(|folder| folder.is_lost());
        let dynamodb = if is_lost { DOWN } else { dynamodb };
        let shared_state = match &self.kv {
            Kv::Memory(_) => "memory",
            Kv::Redis(_) => shared_state,
        };
        let findings = Findings {
            dynamodb,
            shared_state,
        };
        *last = Some((Instant::now(), findings));
        findings
    }
}

async fn probed<E: std::error::Error>(
    what: &'static str,
    probe: impl Future<Output = Result<(), E>>,
) -> &'static str {
    let why = match timeout(PROBE_TIMEOUT, probe).await {
        Ok(Ok(())) => return OK,
        Ok(Err(error)) => describe(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(what, why, "not reachable");
    DOWN
}
