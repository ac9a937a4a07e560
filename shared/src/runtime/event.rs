//! Converts a Lambda event to the request that the edge expects.
//!
//! An event may hold what HTTP can't: emulators send queries that no URI may contain, header values
//! with line breaks, bodies that are not the base64 that they claim to be. What has one meaning is
//! escaped; the rest becomes a request that the edge answers ([`Malformed`]). Nothing in here panics,
//! which `lambda_http`'s own conversion does.

use std::{collections::BTreeMap, time::Duration};

use axum::{body::Body, extract::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header::COOKIE, uri::PathAndQuery};
use lambda_runtime::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::{
    api::Reason,
    clock::Clock,
    edge::{Arrival, Malformed, normalized_path},
};

/// What a path may not contain (RFC 3986 §3.3). `%` stays: what is escaped already remains so.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'%');
/// What a query may not contain (RFC 3986 §3.4).
const NOT_IN_QUERIES: &AsciiSet = &NOT_IN_PATHS.remove(b'?');

/// Which kind of API sent an event, and so what it expects as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A REST API (payload version 1.0).
    V1,
    /// An HTTP API or a function URL (payload version 2.0).
    V2,
}

/// An HTTP event.
pub(super) struct Event {
    format: Format,
    /// Boxed: it is moved through several futures.
    content: Result<Box<HttpEvent>, Malformed>,
}

/// The fields of both formats that are used. All are optional: a field that is missing or `null`
/// is empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpEvent {
    version: Option<String>,
    request_context: Option<RequestContext>,
    headers: Option<BTreeMap<String, Option<String>>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
    // Version 2.0.
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    cookies: Option<Vec<String>>,
    // Version 1.0.
    path: Option<String>,
    http_method: Option<String>,
    query_string_parameters: Option<BTreeMap<String, Option<String>>>,
    multi_value_query_string_parameters: Option<BTreeMap<String, Option<Vec<String>>>>,
    multi_value_headers: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: Option<String>,
    stage: Option<String>,
    // Version 2.0.
    http: Option<HttpContext>,
    // Version 1.0.
    path: Option<String>,
    identity: Option<Identity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext {
    method: Option<String>,
    source_ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(event: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(event)?.get();
        let event = match serde_json::from_str::<HttpEvent>(raw) {
            Ok(event) => event.is_http().then(|| Self {
                format: event.format(),
                content: Ok(Box::new(event)),
            }),
            Err(_) => format_of(raw).map(|format| Self {
                format,
                content: Err(Malformed::invalid("a field of the event has another type")),
            }),
        };
        // The library's error can quote the event, which may contain a token.
        event.ok_or_else(|| {
            D::Error::custom("not an HTTP event of API Gateway or of a function URL")
        })
    }
}

/// The format of an HTTP event that has fields of unexpected types; `None` if it is not an HTTP event
/// at all.
fn format_of(event: &str) -> Option<Format> {
    type Fields<'a> = BTreeMap<String, &'a RawValue>;
    let fields: Fields = serde_json::from_str(event).ok()?;
    if fields
        .get("version")
        .is_some_and(|version| version.get() == r#""2.0""#)
    {
        let context: Fields = serde_json::from_str(fields.get("requestContext")?.get()).ok()?;
        return context.contains_key("http").then_some(Format::V2);
    }
    fields.contains_key("httpMethod").then_some(Format::V1)
}

impl Event {
    /// The request, with what the edge reads from the event: the request id, the client's address,
    /// the platform's deadline, and the path that routes match.
    pub(super) fn into_request(self, context: &Context, clock: &Clock) -> (Format, Request) {
        let mut arrival = Arrival {
            deadline: deadline(context, clock),
            ..Arrival::default()
        };
        let mut request = match self.content {
            Ok(mut event) => {
                let facts = event.request_context.take().unwrap_or_default();
                // The console's test of a REST API sends a placeholder instead of an address.
                arrival.peer = facts.source().and_then(|source| source.parse().ok());
                let request = event.into_request(self.format, &facts, &mut arrival);
                arrival.request_id = facts.request_id;
                request
            }
            Err(malformed) => refused(malformed, &mut arrival),
        };
        request.extensions_mut().insert(arrival);
        (self.format, request)
    }
}

impl RequestContext {
    /// The peer's address, as the platform saw it.
    fn source(&self) -> Option<&str> {
        let http = self
            .http
            .as_ref()
            .and_then(|http| http.source_ip.as_deref());
        let identity = || self.identity.as_ref()?.source_ip.as_deref();
        http.or_else(identity)
    }
}

impl HttpEvent {
    fn format(&self) -> Format {
        match self.version.as_deref() {
            Some("2.0") => Format::V2,
            _ => Format::V1,
        }
    }

    /// Whether it is an HTTP event at all, and not one of another service.
    fn is_http(&self) -> bool {
        match self.format() {
            Format::V1 => self.http_method.is_some(),
            Format::V2 => self
                .request_context
                .as_ref()
                .is_some_and(|context| context.http.is_some()),
        }
    }

    fn into_request(
        mut self,
        format: Format,
        context: &RequestContext,
        arrival: &mut Arrival,
    ) -> Request {
        let method = match format {
            Format::V1 => self.http_method.as_deref(),
            Format::V2 => context
                .http
                .as_ref()
                .and_then(|http| http.method.as_deref()),
        };
        let Some(method) = method.and_then(|name| Method::from_bytes(name.as_bytes()).ok()) else {
            return refused(Malformed::invalid("the event's method"), arrival);
        };
        let target = match format {
            Format::V1 => self.rest_target(context),
            Format::V2 => self.http_target(context),
        };
        let parts = target.and_then(|target| Ok((target, self.header_map()?, self.body()?)));
        let mut request = match parts {
            Ok((target, headers, body)) => {
                let mut request = Request::new(body);
                *request.uri_mut() = target.uri;
                *request.headers_mut() = headers;
                arrival.original_path = target.called;
                request
            }
            Err(malformed) => refused(malformed, arrival),
        };
        *request.method_mut() = method;
        request
    }

    /// An HTTP API prepends a named stage to the path; routes are written without it.
    fn http_target(&mut self, context: &RequestContext) -> Result<Target, Malformed> {
        let called = rooted(self.raw_path.take().unwrap_or_default());
        let stage = context
            .stage
            .as_deref()
            .filter(|stage| *stage != "$default");
        let path = stage
            .and_then(|stage| without_stage(&called, stage))
            .unwrap_or(&called);
        let query = self.raw_query_string.take().unwrap_or_default();
        let target = Target::new(
            path,
            &utf8_percent_encode(&query, NOT_IN_QUERIES).to_string(),
        )?;
        let changed = target.uri.path() != called;
        Ok(Target {
            called: changed.then_some(called),
            ..target
        })
    }

    /// A REST API's event names the path without its stage, and in its context the one that was
    /// called. The values of its query are decoded.
    fn rest_target(&mut self, context: &RequestContext) -> Result<Target, Malformed> {
        let path = rooted(self.path.take().unwrap_or_default());
        let mut query = form_urlencoded::Serializer::new(String::new());
        let several = self
            .multi_value_query_string_parameters
            .take()
            .unwrap_or_default();
        if several.is_empty() {
            let single = self.query_string_parameters.take().unwrap_or_default();
            query.extend_pairs(
                single
                    .iter()
                    .map(|(name, value)| (name, value.as_deref().unwrap_or_default())),
            );
        }
        for (name, values) in &several {
            query.extend_pairs(values.iter().flatten().map(|value| (name, value)));
        }
        let target = Target::new(&path, &query.finish())?;
        let changed = || (target.uri.path() != path).then(|| path.clone());
        let called = context.path.clone().or_else(changed);
        Ok(Target { called, ..target })
    }

    /// The headers; of one that is there with all its values, all of them.
    fn header_map(&mut self) -> Result<HeaderMap, Malformed> {
        let mut headers = HeaderMap::new();
        for (name, values) in self.multi_value_headers.take().unwrap_or_default() {
            let name = header_name(&name)?;
            for value in values.unwrap_or_default() {
                headers.append(name.clone(), header_value(&value)?);
            }
        }
        for (name, value) in self.headers.take().unwrap_or_default() {
            let (name, Some(value)) = (header_name(&name)?, value) else {
                continue;
            };
            headers.entry(name).or_insert(header_value(&value)?);
        }
        if let Some(cookies) = self.cookies.take() {
            headers.insert(COOKIE, header_value(&cookies.join("; "))?);
        }
        Ok(headers)
    }

    fn body(&mut self) -> Result<Body, Malformed> {
        let text = self.body.take().unwrap_or_default();
        if self.is_base64_encoded != Some(true) {
            return Ok(text.into());
        }
        STANDARD
            .decode(text)
            .map(Body::from)
            .map_err(|_| Malformed::invalid("the event's body is not base64"))
    }
}

/// What a request is for.
struct Target {
    uri: Uri,
    /// The path as the client called it, if it is another one.
    called: Option<String>,
}

impl Target {
    /// The target for a path that is as it came, and a query that a URI can contain.
    fn new(path: &str, query: &str) -> Result<Self, Malformed> {
        let path = normalized_path(path);
        let mut target = utf8_percent_encode(&path, NOT_IN_PATHS).to_string();
        if !query.is_empty() {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::try_from(target).map_err(|_| Malformed {
            // Whatever else a URI refuses is escaped.
            reason: Reason::UriTooLong,
            cause: "the event's path and query",
        })?;
        Ok(Self {
            uri: target.into(),
            called: None,
        })
    }
}

/// A path begins with a slash, an empty one too.
fn rooted(path: String) -> String {
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

fn without_stage<'a>(path: &'a str, stage: &str) -> Option<&'a str> {
    let rest = path.strip_prefix('/')?.strip_prefix(stage)?;
    rest.starts_with('/').then_some(rest)
}

fn header_name(name: &str) -> Result<HeaderName, Malformed> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Malformed::invalid("the name of a header"))
}

/// As bytes: a value may contain more than ASCII (RFC 9110 §5.5).
fn header_value(value: &str) -> Result<HeaderValue, Malformed> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Malformed::invalid("a control character in the value of a header"))
}

/// A request that the edge answers with what is wrong.
fn refused(malformed: Malformed, arrival: &mut Arrival) -> Request {
    arrival.malformed = Some(malformed);
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(b"INVALID").unwrap_or_default();
    request
}

/// When Lambda ends the invocation, which it sends in milliseconds since the epoch. A time in the
/// past is ignored: some emulators send a constant.
pub(super) fn deadline(context: &Context, clock: &Clock) -> Option<Instant> {
    let now = u64::try_from(clock.now().as_millisecond()).ok()?;
    let left = context.deadline.checked_sub(now)?;
    Instant::now().checked_add(Duration::from_millis(left))
}

#[cfg(test)]
mod tests;
