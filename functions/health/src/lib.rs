//! `GET /health`: whether the service is up; with `?deep=1`, whether its dependencies are.

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

use probe::{Dependency, Findings, Probes};

#[derive(Clone)]
struct Health {
    region: Option<String>,
    probes: Probes,
}

#[derive(Deserialize)]
struct HealthQuery {
    #[serde(default)]
    deep: Option<String>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    version: &'static str,
    region: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Dependency>,
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

/// Without `deep`, it does no I/O.
async fn health(
    State(health): State<Health>,
    Query(HealthQuery { deep }): Query<HealthQuery>,
) -> Response {
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
    let required_down = parts.iter().any(|part| part.needed && !part.is_ok());
    let any_down = parts.iter().any(|part| !part.is_ok());
    let status = match (required_down, any_down) {
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
    if required_down {
        // The only failure with `data`: a deep check is for operators.
        return ApiError::new(Reason::Unavailable)
            .with_data(&report)
            .into_response();
    }
    Success(report).into_response()
}
