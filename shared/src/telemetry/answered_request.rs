//! A request that was answered, and its log line as a part of a line with metrics.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::ser::SerializeMap;
use tracing::Level;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use super::{Detail, metrics};
use crate::request::Notes;

/// What the line names as its origin: the code that records requests.
pub(super) const TARGET: &str = "shared::edge::access_log";

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
    pub(super) fn level(&self) -> Level {
        if self.status.is_server_error() {
            Level::ERROR
        } else {
            Level::INFO
        }
    }
}

/// A request's log line as a part of a line with metrics. With [`Detail::Full`] `route`, `method` and
/// `status` are labels of metrics too, and such a line can have each of them once and as text: they
/// are spelled as labels. `status_code` is the number.
pub(super) struct LoggedRequest<'a> {
    request: &'a AnsweredRequest<'a>,
    detail: Detail,
    /// Now, as in every other line.
    timestamp: String,
}

impl<'a> LoggedRequest<'a> {
    pub(super) fn new(request: &'a AnsweredRequest<'a>, detail: Detail) -> Self {
        let mut timestamp = String::with_capacity(32);
        // Only what it writes to could fail, which is a string.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        Self {
            request,
            detail,
            timestamp,
        }
    }

    #[cfg(test)]
    pub(super) fn at(timestamp: &str, detail: Detail, request: &'a AnsweredRequest<'a>) -> Self {
        let timestamp = timestamp.to_owned();
        Self {
            request,
            detail,
            timestamp,
        }
    }

    /// The value of a label that the request has itself.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        if self.detail == Detail::Lean {
            return None;
        }
        match name {
            "route" => Some(metrics::route_label(self.request.route)),
            "method" => Some(metrics::method_label(self.request.method)),
            "status" => Some(self.request.status.as_str()),
            _ => None,
        }
    }

    /// Writes the members of the line.
    pub(super) fn write_members<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        let Self {
            request, timestamp, ..
        } = self;
        let notes = request.notes;
        members.serialize_entry("timestamp", timestamp)?;
        members.serialize_entry("level", request.level().as_str())?;
        members.serialize_entry("message", "request")?;
        members.serialize_entry("request_id", request.id)?;
        self.write_answer(members)?;
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

impl LoggedRequest<'_> {
    /// What was asked for, and the status of the response.
    fn write_answer<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        let request = self.request;
        if self.detail == Detail::Lean {
            members.serialize_entry("method", request.method.as_str())?;
            write_known(members, "route", request.route.as_ref())?;
            return members.serialize_entry("status", &request.status.as_u16());
        }
        for name in ["method", "route", "status"] {
            members.serialize_entry(name, &self.label(name))?;
        }
        members.serialize_entry("status_code", &request.status.as_u16())
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
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
