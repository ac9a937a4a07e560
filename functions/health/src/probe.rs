//! Probes of what requests depend on.

use serde::Serialize;
use shared::{
    dynamo::Dynamo,
    instance::Instance,
    kv::Kv,
    resilience::breaker::{BreakerReport, Observer},
    telemetry,
    wechat::WECHAT,
};
use tokio::time::Instant;

/// How one part is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    name: &'static str,
    status: &'static str,
    latency_ms: f64,
    /// Whether requests fail without it.
    pub needed: bool,
}

impl Part {
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// What the probes found.
pub struct Findings {
    pub parts: Vec<Part>,
    /// Circuit breakers; none while shared state is out of reach.
    pub breakers: Vec<BreakerReport>,
}

/// The parts that are probed.
#[derive(Clone)]
pub struct Probes {
    kv: Kv,
    dynamo: Dynamo,
    breaker: Observer,
}

impl Probes {
    pub fn new(instance: &Instance) -> Self {
        Self {
            kv: instance.kv(),
            dynamo: instance.dynamo(),
            breaker: instance.observer(WECHAT),
        }
    }

    /// All probes at the same time.
    pub async fn run(&self) -> Findings {
        let shared = async {
            // The ping first: it also makes the connection that the breaker is then asked through.
            let part = part(self.kv.name(), false, self.kv.ping()).await;
            let breaker = if part.is_ok() {
                self.breaker.report().await
            } else {
                None
            };
            (part, breaker)
        };
        let dynamo = part("dynamodb", true, self.dynamo.probe());
        let ((shared_state, breaker), dynamo) = futures_util::join!(shared, dynamo);
        Findings {
            parts: vec![shared_state, dynamo],
            breakers: breaker.into_iter().collect(),
        }
    }
}

async fn part<E: std::error::Error>(
    name: &'static str,
    needed: bool,
    probe: impl Future<Output = Result<(), E>>,
) -> Part {
    let start = Instant::now();
    let outcome = probe.await;
    if let Err(error) = &outcome {
        telemetry::degraded(name, error);
    }
    let status = if outcome.is_ok() { "ok" } else { "down" };
    Part {
        name,
        status,
        latency_ms: (start.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        needed,
    }
}
