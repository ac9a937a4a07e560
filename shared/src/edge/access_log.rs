//! The edge's first and last step: a request's id, context and log line, and the headers of its response.

use std::sync::atomic::Ordering;

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{HeaderName, HeaderValue, Method};
use tokio::time::{Instant, timeout_at};

use super::{Arrival, Edge, deadline, no_store};
use crate::{
    api::preferred_language,
    request::{Context, RateLimitFields},
    telemetry::AnsweredRequest,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is being answered.
pub(super) struct Record {
    start: Instant,
    /// Until when the answer may be held back, where it freezes the process.
    freeze: Option<Instant>,
    context: Context,
    is_cold_start: bool,
    method: Method,
    route: Option<MatchedPath>,
}

impl Record {
    pub(super) fn start(edge: &Edge, request: &mut Request) -> Self {
        let arrival = request.extensions_mut().get_mut::<Arrival>();
        let id = arrival.and_then(|arrival| arrival.request_id.take());
        let id = id.unwrap_or_else(|| {
            let id = edge.request_ids.uuid_v7(&edge.parts.clock);
            id.to_string()
        });
        Self {
            // Monotonic, and paused by tests that pause Tokio's time.
            start: Instant::now(),
            freeze: deadline::freeze_after(request),
            context: Context::new(id, preferred_language(request.headers())),
            is_cold_start: edge.cold.swap(false, Ordering::Relaxed),
            method: request.method().clone(),
            // The template, not the path: paths contain ids.
            route: request.extensions().get::<MatchedPath>().cloned(),
        }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The response with what every response has, once nothing of the request still runs.
    pub(super) async fn finish(self, mut response: Response) -> Response {
        let Self {
            start,
            freeze,
            context,
            is_cold_start,
            method,
            route,
        } = self;
        if let Some(end) = freeze {
            // What is late is not worth a failed invocation.
            let _ = timeout_at(end, context.finished()).await;
        }
        let mut notes = context.take_notes();
        no_store(&mut response);
        if let Ok(id) = HeaderValue::from_str(context.id()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(fields) = notes.rate_limit.take() {
            add_rate_limit_headers(&mut response, fields);
        }
        AnsweredRequest {
            id: context.id(),
            method: &method,
            route: route.as_ref().map(MatchedPath::as_str),
            status: response.status(),
            latency: start.elapsed(),
            is_cold_start,
            notes: &notes,
        }
        .report();
        response
    }
}

/// draft-ietf-httpapi-ratelimit-headers: on the response of every charged request, so that clients
/// can slow down in time.
fn add_rate_limit_headers(response: &mut Response, fields: RateLimitFields) {
    let fields = [
        ("ratelimit-policy", fields.policies),
        ("ratelimit", fields.standings),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}
