//! Probes the dependencies of requests.

use serde::Serialize;
use shared::{
    clock::Clock,
    dynamo::Dynamo,
    instance::Instance,
    kv::Kv,
    resilience::breaker::{BreakerReport, Observer},
    telemetry,
    wechat::WECHAT,
};
use tokio::time::Instant;

/// The state of one dependency.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    name: &'static str,
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["ok", "down"])))]
    status: &'static str,
    latency_ms: f64,
    /// Whether requests fail without it.
    pub needed: bool,
}

impl Dependency {
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// The results of the probes.
pub struct Findings {
    pub parts: Vec<Dependency>,
    /// Circuit breakers; empty while shared state is unavailable.
    pub breakers: Vec<BreakerReport>,
}

/// The dependencies to probe.
#[derive(Clone)]
pub struct Probes {
    clock: Clock,
    kv: Kv,
    dynamo: Dynamo,
    breaker: Observer,
}

impl Probes {
    pub fn new(instance: &Instance) -> Self {
        Self {
            clock: instance.clock(),
            kv: instance.kv_on_demand(),
            dynamo: instance.dynamo(),
            breaker: instance.observer(WECHAT),
        }
    }

    /// Runs all probes concurrently.
    pub async fn run(&self) -> Findings {
        let shared = async {
            // The probe first, because it opens the connection over which the breaker is read.
            let part = part(self.kv.name(), false, self.kv.probe()).await;
            let breaker = if part.is_ok() {
                self.breaker.report().await
            } else {
                None
            };
            (part, breaker)
        };
        let table = async {
            let (read, written) = futures_util::join!(
                self.dynamo.probe(),
                self.dynamo.probe_write(self.clock.now_seconds())
            );
            read.and(written)
        };
        // Boxed, because the futures of calls are large.
        let dynamo = part("dynamodb", true, Box::pin(table));
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
) -> Dependency {
    let start = Instant::now();
    let outcome = probe.await;
    if let Err(error) = &outcome {
        telemetry::degraded(name, error);
    }
    let status = if outcome.is_ok() { "ok" } else { "down" };
    Dependency {
        name,
        status,
        latency_ms: (start.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        needed,
    }
}
