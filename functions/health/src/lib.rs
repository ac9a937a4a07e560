//! `GET /health`: whether the service is up; with `?deep=1`, whether its dependencies are.

#[cfg(feature = "openapi")]
mod openapi;
mod probe;
mod recent;

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use shared::{
    api::{ApiError, Reason, Success},
    config::AWS_REGION,
    edge::{ClientAddress, Routes},
    instance::Instance,
    resilience::{AddressCost, Limiter, breaker::BreakerReport},
};

use probe::{Dependency, Findings, Probes};
use recent::Recent;

#[cfg(feature = "openapi")]
pub use openapi::operations;

#[derive(Clone)]
struct Health {
    region: Option<String>,
    probes: Probes,
    /// Anyone may ask: whatever they ask, an instance probes at most once a second.
    recent: Recent<Findings>,
    /// Of this instance alone: a check of Redis must not depend on it.
    limiter: Limiter,
    /// What a deep check costs its address.
    cost: Option<AddressCost>,
}

#[derive(Deserialize)]
struct HealthQuery {
    #[serde(default)]
    deep: Option<String>,
}

/// How the service is.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "HealthReport")
)]
struct Report<'a> {
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["ok", "degraded", "down"])))]
    status: &'static str,
    version: &'static str,
    /// `AWS_REGION`.
    region: Option<String>,
    /// Of a deep check.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    parts: &'a [Dependency],
    /// Of a deep check, while shared state can be reached.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    breakers: &'a [BreakerReport],
}

/// The routes of this function.
pub fn routes(instance: &Instance) -> Routes {
    let region = AWS_REGION.get(instance.env()).map(str::to_owned);
    let state = Health {
        region,
        probes: Probes::new(instance),
        recent: Recent::new(instance.clock()),
        limiter: Limiter::new(None, instance.clock()),
        cost: instance.limits().guest,
    };
    Routes::new()
        .route("/health", get(health))
        .with_state(state)
}

/// Without `deep`, it does no I/O.
async fn health(
    State(health): State<Health>,
    ClientAddress(address): ClientAddress,
    Query(HealthQuery { deep }): Query<HealthQuery>,
) -> Response {
    let deep = deep.is_some_and(|deep| deep == "1");
    let findings = if deep {
        if let Err(denied) = health.limiter.charge_address(address, health.cost).await {
            return ApiError::from(denied).into_response();
        }
        health.recent.get(|| health.probes.run()).await
    } else {
        Arc::new(Findings {
            parts: Vec::new(),
            breakers: Vec::new(),
        })
    };
    let Findings { parts, breakers } = &*findings;
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
