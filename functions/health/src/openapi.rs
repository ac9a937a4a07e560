//! The route for clients.

use shared::{
    api::Reason,
    openapi::{Operation, Tag, json},
};

use crate::Report;

/// The operations of this function.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let report = json!({"status": "ok", "version": "0.1.0", "region": "local"});
    let health = Operation::new("GET", "/health", "getHealth", Tag::Health, "Whether the service is up")
        .details("Without I/O. With `deep=1` DynamoDB and the shared state are probed, at most once a second in each instance, and the request counts against a limit.")
        .query_part::<String>("deep", "`1` probes the dependencies.")
        .ok::<Report<'static>>("`degraded` when a part is down that requests can do without.", report)
        .fails(&[Reason::InvalidRequest, Reason::RateLimited])
        .explains::<Report<'static>>(Reason::Unavailable);
    vec![health]
}
