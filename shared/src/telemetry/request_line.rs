//! The log line of a request, and the metrics that count it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::ser::SerializeMap;
use tracing::Level;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use super::{Emf, metrics};
use crate::{ids::AppId, request::Notes};

/// What the line names as its origin: the code that records requests.
const TARGET: &str = "shared::edge::access_log";

/// A request that was answered.
pub struct AnsweredRequest<'a> {
    /// Its `X-Request-Id`.
    pub id: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// The template of the route that matched, if one did.
    pub route: Option<&'a str>,
    /// The status of the response.
    pub status: StatusCode,
    /// The time from the request to the response.
    pub latency: Duration,
    /// Whether it was the first of its instance.
    pub is_cold_start: bool,
    /// What was noted about it.
    pub notes: &'a Notes,
}

impl AnsweredRequest<'_> {
    /// Counts the request and writes its log line. Where metrics are lines of the log too, it is one
    /// line with what was recorded since the last one.
    pub fn report(&self) {
        self.count();
        match Emf::installed() {
            Some(emf) => self.write_with(emf),
            None => self.log(),
        }
    }

    fn count(&self) {
        metrics::request(self.route, self.method, self.status, self.latency);
        if self.is_cold_start {
            metrics::cold_start(self.route);
        }
        if self.notes.degraded {
            metrics::degraded_request(self.route);
        }
    }

    fn write_with(&self, emf: &Emf) {
        let is_logged = match self.level() {
            Level::ERROR => tracing::event_enabled!(target: TARGET, Level::ERROR),
            _ => tracing::event_enabled!(target: TARGET, Level::INFO),
        };
        let line = is_logged.then(|| LoggedRequest::new(self));
        if let Err(error) = emf.write(line.as_ref(), &mut std::io::stdout()) {
            tracing::warn!(%error, "metrics can't be written");
        }
    }

    fn level(&self) -> Level {
        if self.status.is_server_error() {
            Level::ERROR
        } else {
            Level::INFO
        }
    }

    fn log(&self) {
        let Notes {
            user_id,
            app_id,
            reason,
            cause,
            degraded,
            redis,
            ..
        } = self.notes;
        let (request_id, method, route) = (self.id, self.method.as_str(), self.route);
        let (status, cold_start) = (self.status.as_u16(), self.is_cold_start);
        let app_id = app_id.as_ref().map(AppId::as_str);
        let user_id = user_id.map(tracing::field::display);
        let [latency_ms, redis_ms] = [self.latency, redis.total()].map(milliseconds);
        // A level is part of tracing's static metadata, so each level needs its own call.
        macro_rules! log_at {
            ($level:ident) => {
                tracing::$level!(
                    target: TARGET, request_id, method, route, status, latency_ms, cold_start,
                    app_id, user_id, reason, cause, degraded, redis_ms, "request"
                )
            };
        }
        if self.level() == Level::ERROR {
            log_at!(error);
        } else {
            log_at!(info);
        }
    }
}

/// A request's log line as a part of a line with metrics. `route`, `method` and `status` are labels
/// of metrics too, and such a line can have each of them once and as text: they are spelled as
/// labels. `status_code` is the number.
pub(super) struct LoggedRequest<'a> {
    request: &'a AnsweredRequest<'a>,
    /// Now, as in every other line.
    timestamp: String,
}

impl<'a> LoggedRequest<'a> {
    pub(super) fn new(request: &'a AnsweredRequest<'a>) -> Self {
        let mut timestamp = String::with_capacity(32);
        // Only what it writes to could fail, which is a string.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        Self { request, timestamp }
    }

    #[cfg(test)]
    pub(super) fn at(timestamp: &str, request: &'a AnsweredRequest<'a>) -> Self {
        let timestamp = timestamp.to_owned();
        Self { request, timestamp }
    }

    /// The value of a label that the request has itself.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        match name {
            "route" => Some(metrics::route_label(self.request.route)),
            "method" => Some(metrics::method_label(self.request.method)),
            "status" => Some(self.request.status.as_str()),
            _ => None,
        }
    }

    /// Writes the members of the line.
    pub(super) fn write_members<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        let Self { request, timestamp } = self;
        let notes = request.notes;
        members.serialize_entry("timestamp", timestamp)?;
        members.serialize_entry("level", request.level().as_str())?;
        members.serialize_entry("message", "request")?;
        members.serialize_entry("request_id", request.id)?;
        for name in ["method", "route", "status"] {
            members.serialize_entry(name, &self.label(name))?;
        }
        members.serialize_entry("status_code", &request.status.as_u16())?;
        members.serialize_entry("latency_ms", &milliseconds(request.latency))?;
        members.serialize_entry("cold_start", &request.is_cold_start)?;
        write_known(members, "app_id", notes.app_id.as_ref())?;
        write_known(members, "user_id", notes.user_id.as_ref())?;
        write_known(members, "reason", notes.reason.as_ref())?;
        write_known(members, "cause", notes.cause.as_ref())?;
        members.serialize_entry("degraded", &notes.degraded)?;
        members.serialize_entry("redis_ms", &milliseconds(notes.redis.total()))?;
        members.serialize_entry("target", TARGET)
    }
}

fn write_known<M: SerializeMap>(
    members: &mut M,
    name: &str,
    value: Option<&impl serde::Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => members.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// In milliseconds, rounded to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
