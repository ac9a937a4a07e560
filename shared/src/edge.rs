//! What every request passes, in one list: see `stack`.

mod access_log;
mod authenticated;
mod client_ip;
mod cors;
mod deadline;
mod fallback;
mod limit_concurrency;
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
pub use routes::Routes;
pub(crate) use sealed::{Sealing, SealingParts};

use crate::{
    api::{ApiError, MAX_BODY, Reason},
    clock::Clock,
    config::EdgeSettings,
    random::Random,
    resilience::bulkhead::Bulkhead,
};

/// What the layers keep from request to request.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// True until the first request has come.
    pub(crate) cold: Arc<AtomicBool>,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
}

/// The path that a client called, where routes are written for a part of it; a request extension.
#[derive(Clone, Debug)]
pub struct OriginalPath(pub String);

/// A layer that only functions which want it are built with.
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
        // The largest body that a handler reads.
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // The deadline of the whole request, which its calls inherit.
        .layer(middleware::from_fn_with_state(
            settings.timeout,
            deadline::enforce,
        ))
        // A panic is this request's 500.
        .layer(CatchPanicLayer::custom(panicked))
        // 404, 405, 413 and time-outs, which come from the framework, as envelopes.
        .layer(middleware::map_response(fallback::envelope));
    let routes = match sealed {
        // Bodies are opened and whatever was answered is sealed.
        Some(layer) => layer(routes),
        None => routes,
    };
    // A request above the limit is refused, before it costs anything.
    let routes = routes.layer(middleware::from_fn_with_state(
        requests,
        limit_concurrency::limit_concurrency,
    ));
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
        // Request id, context, one log line, the headers of every answer.
        .layer(middleware::from_fn_with_state(edge, access_log::record))
}

/// The panic's text is not used: the hook has logged what may be logged.
#[allow(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    ApiError::new(Reason::Internal).into_response()
}

/// Answers are about one person and one moment, unless a route says otherwise.
fn no_store(response: &mut Response) {
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests;
