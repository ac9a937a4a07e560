//! The outermost layer: a request's id, context and log line, and the headers of its response.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::{Arrival, Edge, EdgeParts, deadline, no_store};
use crate::{
    api::preferred_language,
    request::{Context, Notes, RateLimitFields},
    telemetry::metrics,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request that is being answered.
pub(super) struct Record {
    start: Instant,
    /// Until when the answer may be held back, where it freezes the process.
    freeze: Option<Instant>,
    context: Context,
    line: AccessLogLine,
}

impl Record {
    pub(super) fn start(edge: &Edge, request: &mut Request) -> Self {
        let arrival = request.extensions_mut().get_mut::<Arrival>();
        let id = arrival.and_then(|arrival| arrival.request_id.take());
        let id = id.unwrap_or_else(|| {
            let EdgeParts { random, clock, .. } = &edge.parts;
            random.uuid_v7(clock).to_string()
        });
        Self {
            // Monotonic, and paused by tests that pause Tokio's time.
            start: Instant::now(),
            freeze: deadline::freeze_after(request),
            context: Context::new(id, preferred_language(request.headers())),
            line: AccessLogLine {
                cold_start: edge.cold.swap(false, Ordering::Relaxed),
                method: request.method().clone(),
                // The template, not the path: paths contain ids.
                route: request.extensions().get::<MatchedPath>().cloned(),
            },
        }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The response with what every response has, once nothing of the request runs any longer.
    pub(super) async fn finish(self, mut response: Response) -> Response {
        let Self {
            start,
            freeze,
            context,
            line,
        } = self;
        if let Some(end) = freeze {
            // What is late is not worth a failed invocation.
            let _ = timeout_at(end, context.finished()).await;
        }
        let notes = context.take_notes();
        no_store(&mut response);
        if let Ok(id) = HeaderValue::from_str(context.id()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        if let Some(fields) = &notes.rate_limit {
            add_rate_limit_headers(&mut response, fields);
        }
        line.write(context.id(), &notes, response.status(), start);
        line.count(&notes, response.status(), start);
        response
    }
}

/// draft-ietf-httpapi-ratelimit-headers: on the response of every charged request, so that clients
/// can slow down in time.
fn add_rate_limit_headers(response: &mut Response, fields: &RateLimitFields) {
    let fields = [
        ("ratelimit-policy", &fields.policies),
        ("ratelimit", &fields.standings),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}

/// The fields of the log line that are known before the handler runs.
struct AccessLogLine {
    cold_start: bool,
    method: Method,
    route: Option<MatchedPath>,
}

impl AccessLogLine {
    fn write(&self, request_id: &str, notes: &Notes, status: StatusCode, start: Instant) {
        let latency_ms = milliseconds(start.elapsed());
        let redis_ms = milliseconds(notes.redis.total());
        let Self {
            cold_start,
            method,
            route,
        } = self;
        let (method, status) = (method.as_str(), status.as_u16());
        let route = route.as_ref().map(MatchedPath::as_str);
        let Notes {
            user_id,
            app_id,
            reason,
            cause,
            degraded,
            ..
        } = notes;
        // A level is part of tracing's static metadata, so each level needs its own call.
        macro_rules! write_at {
            ($level:ident) => {
                tracing::$level!(
                    request_id, method, route, status, latency_ms, cold_start, app_id, user_id,
                    reason, cause, degraded, redis_ms, "request"
                )
            };
        }
        if status >= 500 {
            write_at!(error);
        } else {
            write_at!(info);
        }
    }

    fn count(&self, notes: &Notes, status: StatusCode, start: Instant) {
        let route = self.route.as_ref().map(MatchedPath::as_str);
        metrics::request(route, &self.method, status, start.elapsed());
        if self.cold_start {
            metrics::cold_start(route);
        }
        if notes.degraded {
            metrics::degraded_request(route);
        }
    }
}

/// In milliseconds, rounded to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
