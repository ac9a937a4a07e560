//! Load shedding: a request too many is refused at once, while the others are still answered in
//! time.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{api::ApiError, resilience::bulkhead::Bulkhead};

/// The route by which load balancers decide whether to send more. Without a query it does no I/O.
const HEALTH: &str = "/health";

/// Lets the request in while there is a place. Health is answered all the same: whoever stops an
/// instance because it is busy makes the others busier.
pub(super) async fn shed(
    State(requests): State<Arc<Bulkhead>>,
    request: Request,
    next: Next,
) -> Response {
    let is_health = request.uri().path() == HEALTH && request.uri().query().is_none();
    if is_health {
        return next.run(request).await;
    }
    match requests.enter() {
        Ok(_place) => next.run(request).await,
        Err(full) => ApiError::from(full).into_response(),
    }
}
