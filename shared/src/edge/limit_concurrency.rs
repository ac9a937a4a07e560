//! Load shedding: a request above the limit is rejected at once, so that the others are still
//! answered in time.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{api::ApiError, resilience::bulkhead::Bulkhead};

/// The route of load balancers' health checks. Without a query it does no I/O.
const HEALTH: &str = "/health";

/// Admits the request while there is capacity. Health checks are always answered: a load balancer
/// that removes a busy instance makes the others busier.
pub(super) async fn limit_concurrency(
    State(requests): State<Arc<Bulkhead>>,
    request: Request,
    next: Next,
) -> Response {
    let is_health = request.uri().path() == HEALTH && request.uri().query().is_none();
    if is_health {
        return next.run(request).await;
    }
    match requests.acquire() {
        Ok(_permit) => next.run(request).await,
        Err(error) => ApiError::from(error).into_response(),
    }
}
