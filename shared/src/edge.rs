//! The middleware of every request, in one list: see `stack`.

mod access_log;
mod authenticated;
mod client_ip;
mod cors;
mod deadline;
mod fallback;
mod limit_concurrency;
mod malformed;
mod path;
mod routes;
mod sealed;

use std::sync::{Arc, atomic::AtomicBool};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header::CACHE_CONTROL};
use ipnet::IpNet;
use tower_http::catch_panic::CatchPanicLayer;

pub use access_log::RequestId;
pub use authenticated::{Authenticated, AuthenticatedUser};
pub use client_ip::{ClientAddress, ClientIp, Peer};
pub use deadline::PlatformDeadline;
pub use malformed::Malformed;
pub use path::normalized_path;
pub use routes::Routes;
pub(crate) use sealed::{Sealing, SealingParts};

use crate::{
    api::{ApiError, MAX_BODY, Reason},
    clock::Clock,
    config::EdgeSettings,
    random::Random,
    resilience::bulkhead::Bulkhead,
};

/// State that the layers share between requests.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// True until the first request.
    pub(crate) cold: Arc<AtomicBool>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
}

/// The path as the client sent it, set where routes match only part of it; a request extension.
#[derive(Clone, Debug)]
pub struct OriginalPath(pub String);

/// A layer that only some functions add.
pub(crate) type Layer = Box<dyn Fn(Router) -> Router + Send + Sync>;

/// Wraps `routes` in the layers; a request passes them from the bottom of this list to its top.
/// `sealed` opens sealed bodies, for functions that take them.
pub(crate) fn stack(
    routes: Router,
    edge: Edge,
    settings: &EdgeSettings,
    sealed: Option<&Layer>,
) -> Router {
    let requests = Arc::new(Bulkhead::new("requests", settings.max_concurrency));
    let routes = routes
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        // The size limit of axum's own extractors.
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // The deadline of the whole request, which its calls inherit.
        .layer(middleware::from_fn_with_state(
            settings.timeout,
            deadline::enforce,
        ))
        // A panic becomes this request's 500.
        .layer(CatchPanicLayer::custom(panicked))
        // The framework's own 404, 405, 413 and timeouts become envelopes.
        .layer(middleware::map_response(fallback::envelope));
    let routes = match sealed {
        // Opens request bodies, and seals every response to one.
        Some(layer) => layer(routes),
        None => routes,
    };
    // Rejects requests above the limit before they cost anything.
    let routes = routes.layer(middleware::from_fn_with_state(
        requests,
        limit_concurrency::limit_concurrency,
    ));
    // Answers what could not be taken as it came.
    let routes = routes.layer(middleware::from_fn(malformed::refuse));
    let routes = match cors::layer(&settings.cors_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes
        // The client's address.
        .layer(middleware::from_fn_with_state(
            edge.clone(),
            client_ip::resolve,
        ))
        // Request id, context, one log line, the headers of every response.
        .layer(middleware::from_fn_with_state(edge, access_log::record))
}

/// Ignores the panic's message: the panic hook has logged what may be logged.
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::new(Reason::Internal).into_response()
}

/// Responses hold personal and current data, so they are not cached unless a route allows it.
fn no_store(response: &mut Response) {
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests;
