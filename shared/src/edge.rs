//! What every request passes on its way to its route and back, in one list: `Edge::outside`, then
//! `Edge::inside`.

mod access_log;
mod administrator;
mod arrival;
mod authenticated;
mod client_ip;
mod cors;
mod deadline;
mod fallback;
mod limit_concurrency;
mod malformed;
mod panics;
mod path;
mod routes;
mod sealed;
mod service;

use std::{
    convert::Infallible,
    sync::{Arc, atomic::AtomicBool},
};

use axum::{
    Router,
    body::HttpBody,
    extract::{DefaultBodyLimit, Request},
    response::{IntoResponse, Response},
    routing::Route,
};
use http::{HeaderValue, header::CACHE_CONTROL};
use ipnet::IpNet;
use tokio::time::{Duration, Instant};
use tower::Service;
use tower_http::cors::CorsLayer;

pub use administrator::Administrator;
pub use arrival::Arrival;
pub use authenticated::{AccountHolder, Authenticated, AuthenticatedUser};
pub use client_ip::{ClientAddress, ClientIp};
pub use malformed::Malformed;
pub use path::normalized_path;
pub use routes::Routes;
pub(crate) use sealed::{SealedBodies, Sealing, SealingParts};

use self::{
    access_log::Record,
    service::{EdgeLayer, Next},
};
use crate::{
    api::{ApiError, MAX_BODY},
    clock::Clock,
    config::EdgeSettings,
    random::Random,
    resilience::bulkhead::Bulkhead,
};

/// What the edge needs, beside its settings.
pub(crate) struct EdgeParts {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Opens sealed bodies, for functions that take them.
    pub(crate) sealed: Option<Arc<dyn SealedBodies>>,
}

/// What the requests of an app share.
struct Edge {
    parts: EdgeParts,
    /// Generates the ids of requests that come without one.
    request_ids: Random,
    /// True until the first request.
    cold: AtomicBool,
    cors: Option<CorsLayer>,
    requests: Arc<Bulkhead>,
    timeout: Duration,
}

/// Puts the edge around every route, and around the answers to requests that no route takes. It is
/// one layer, and inside of the router: the log line names the route that matched.
pub(crate) fn stack(routes: Router, parts: EdgeParts, settings: &EdgeSettings) -> Router {
    let edge = Edge {
        request_ids: parts.random.for_public_ids(),
        parts,
        cold: AtomicBool::new(true),
        cors: cors::layer(&settings.cors_origins),
        requests: Arc::new(Bulkhead::new("requests", settings.max_concurrency)),
        timeout: settings.timeout,
    };
    routes
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed)
        .layer(EdgeLayer::new(edge))
}

/// The list. A request takes the steps from the top to the bottom, its response from the bottom to
/// the top. Plain calls instead of a layer for each: a layer costs every request a boxed future and
/// copies of its state.
impl Edge {
    /// The steps around CORS: all answers are logged and have a request id, preflights too.
    async fn outside(
        self: Arc<Self>,
        mut request: Request,
        next: Next,
    ) -> Result<Response, Infallible> {
        // Request id, context, one log line, the headers of every response.
        let record = Record::start(&self, &mut request);
        // The client's address.
        client_ip::resolve(&self.parts.trusted_proxies, &mut request);
        // CORS, if configured, around whatever refuses: otherwise a browser hides the refusal.
        let response = record.context().run(next.answer(request)).await;
        Ok(record.finish(response).await)
    }

    /// The steps inside of CORS.
    async fn inside(&self, mut request: Request, route: &Route) -> Response {
        // Answers what could not be taken as it came, before it takes a permit.
        if let Some(malformed) = Arrival::malformed(&request) {
            return malformed.into_response();
        }
        // Rejects requests above the limit before they cost anything.
        let _permit = match limit_concurrency::admit(&self.requests, &mut request) {
            Ok(permit) => permit,
            Err(error) => return ApiError::from(error).into_response(),
        };
        let route = Bounded {
            route: route.clone(),
            end: deadline::end_of(&request, self.timeout),
        };
        let sealed = self.parts.sealed.as_deref();
        match sealed.zip(sealed::form_of(&request)) {
            // Opens the body and seals every response to it. A panic in this step is a 500, too.
            Some((sealed, form)) => panics::caught(sealed.pass(form, request, route)).await,
            None => route.answer(request).await,
        }
    }
}

/// A route with the steps that are inside of sealing: their responses are sealed.
pub(crate) struct Bounded {
    route: Route,
    /// The deadline of the whole request, which its calls inherit.
    end: Instant,
}

impl Bounded {
    async fn answer(mut self, mut request: Request) -> Response {
        // The size limit of axum's own extractors.
        if !request.body().is_end_stream() {
            DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
        }
        let answer = async {
            match self.route.call(request).await {
                Ok(response) => response,
            }
        };
        // A panic becomes this request's 500, and a request past its deadline a 504.
        let response = panics::caught(deadline::enforce(self.end, answer)).await;
        // The framework's own 404, 405, 413 and timeouts become envelopes.
        fallback::envelope(response)
    }
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
