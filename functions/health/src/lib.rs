//! `GET /health`: whether the service is up; with `?deep=1`, whether what it needs is.

mod probe;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Reason, Success},
    config::AWS_REGION,
    edge::Routes,
    instance::Instance,
    resilience::breaker::BreakerReport,
};

use probe::{Findings, Part, Probes};

#[derive(Clone)]
struct Health {
    region: Option<String>,
    probes: Probes,
}

#[derive(Deserialize)]
struct Depth {
    #[serde(default)]
    deep: Option<String>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    version: &'static str,
    region: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    breakers: Vec<BreakerReport>,
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    let region = AWS_REGION.get(instance.env()).map(str::to_owned);
    let state = Health {
        region,
        probes: Probes::new(instance),
    };
    Routes::new()
        .route("/health", get(health))
        .with_state(state)
}

/// Without `deep`, no I/O at all.
async fn health(State(health): State<Health>, Query(Depth { deep }): Query<Depth>) -> Response {
    let nothing = Findings {
        parts: Vec::new(),
        breakers: Vec::new(),
    };
    let deep = deep.is_some_and(|deep| deep == "1");
    let Findings { parts, breakers } = if deep {
        health.probes.run().await
    } else {
        nothing
    };
    let needed_down = parts.iter().any(|part| part.needed && !part.is_ok());
    let any_down = parts.iter().any(|part| !part.is_ok());
    let status = match (needed_down, any_down) {
        (true, _) => "down",
        (false, true) => "degraded",
        (false, false) => "ok",
    };
    let report = Report {
        status,
        version: env!("CARGO_PKG_VERSION"),
        region: health.region,
        parts,
        breakers,
    };
    if needed_down {
        // The one failure with `data`: the caller is an operator.
        return ApiError::new(Reason::Unavailable)
            .with_data(&report)
            .into_response();
    }
    Success(report).into_response()
}
