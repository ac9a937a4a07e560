//! Converts a Lambda event to the request that the edge expects.

use std::time::Duration;

use lambda_http::{
    Context, LambdaEvent, Request, RequestExt,
    request::{LambdaRequest, RequestContext},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    edge::{ClientIp, OriginalPath, PlatformDeadline, RequestId},
};

/// An HTTP event. `lambda_http` tries one format after the other, and a failed try costs as much as
/// a successful one; here the event's `version` selects the format.
pub(super) struct Event(LambdaRequest);

impl Event {
    pub(super) fn into_lambda_event(event: LambdaEvent<Self>) -> LambdaEvent<LambdaRequest> {
        LambdaEvent {
            payload: event.payload.0,
            context: event.context,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(event: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(event)?.get();
        let request = if is_version_2(raw) {
            serde_json::from_str(raw).map(LambdaRequest::ApiGatewayV2)
        } else {
            serde_json::from_str(raw).map(LambdaRequest::ApiGatewayV1)
        };
        // The library's error can quote the event, which may contain a token.
        request
            .map(Self)
            .map_err(|_| D::Error::custom("not an HTTP event of API Gateway or of a function URL"))
    }
}

/// Events of API Gateway HTTP APIs and function URLs have `"version":"2.0"`.
fn is_version_2(event: &str) -> bool {
    #[derive(Deserialize)]
    struct Version<'a> {
        #[serde(borrow)]
        version: Option<&'a str>,
    }
    serde_json::from_str(event).is_ok_and(|Version { version }| version == Some("2.0"))
}

/// Sets what the edge reads from the event: the request id, the client's address, the platform's
/// deadline, and the path that routes match.
pub(super) fn into_edge_request(mut request: Request, clock: &Clock) -> Request {
    let (id, source) = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            let (id, source) = (context.request_id.clone(), context.http.source_ip.clone());
            let stage = context.stage.clone().filter(|stage| stage != "$default");
            if let Some(stage) = stage {
                strip_stage(&mut request, &stage);
            }
            (id, source)
        }
        Some(RequestContext::ApiGatewayV1(context)) => {
            let (id, source) = (
                context.request_id.clone(),
                context.identity.source_ip.clone(),
            );
            // A REST event's path has no stage; `lambda_http` prepends it, unless the path seems to
            // start with it already (a stage named `api`).
            let (path, called) = (request.raw_http_path().to_owned(), context.path.clone());
            set_path(&mut request, &path);
            called.map(|path| request.extensions_mut().insert(OriginalPath(path)));
            (id, source)
        }
        _ => (None, None),
    };
    let deadline = request
        .lambda_context_ref()
        .and_then(|context| deadline(context, clock));
    let extensions = request.extensions_mut();
    id.map(|id| extensions.insert(RequestId(id)));
    // The console's test of a REST API sends a placeholder instead of an address.
    source
        .and_then(|source| source.parse().ok())
        .map(|address| extensions.insert(ClientIp::new(address)));
    deadline.map(|deadline| extensions.insert(deadline));
    request
}

/// When Lambda ends the invocation, which it sends in milliseconds since the epoch. A time in the
/// past is ignored: some emulators send a constant.
fn deadline(context: &Context, clock: &Clock) -> Option<PlatformDeadline> {
    let now = u64::try_from(clock.now().as_millisecond()).ok()?;
    let left = context.deadline.checked_sub(now)?;
    Instant::now()
        .checked_add(Duration::from_millis(left))
        .map(PlatformDeadline)
}

/// An HTTP API prepends a named stage to the path; routes are written without it.
fn strip_stage(request: &mut Request, stage: &str) {
    let rest = request
        .uri()
        .path()
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(stage));
    if let Some(rest) = rest.filter(|rest| rest.starts_with('/')).map(str::to_owned) {
        let called = OriginalPath(request.uri().path().to_owned());
        set_path(request, &rest);
        request.extensions_mut().insert(called);
    }
}

/// Replaces the path and keeps the query.
fn set_path(request: &mut Request, path: &str) {
    let mut parts = request.uri().clone().into_parts();
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let Ok(path_and_query) = format!("{path}{query}").parse() else {
        return;
    };
    parts.path_and_query = Some(path_and_query);
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(uri: &str, stage: &str) -> String {
        let mut request = Request::default();
        *request.uri_mut() = uri.parse().unwrap();
        strip_stage(&mut request, stage);
        request.uri().to_string()
    }

    #[test]
    fn a_named_stage_is_stripped_from_the_path() {
        assert_eq!(
            stripped("https://a.example/prod/health?deep=1", "prod"),
            "https://a.example/health?deep=1"
        );
        assert_eq!(
            stripped("https://a.example/production/health", "prod"),
            "https://a.example/production/health"
        );
        assert_eq!(
            stripped("https://a.example/health", "prod"),
            "https://a.example/health"
        );
    }

    fn unwrapped(event: &serde_json::Value) -> Request {
        let Event(event) = serde_json::from_str(&event.to_string()).unwrap();
        into_edge_request(event.into(), &Clock::System)
    }

    fn routed(event: &serde_json::Value) -> String {
        unwrapped(event).uri().path_and_query().unwrap().to_string()
    }

    fn client(event: &serde_json::Value) -> Option<String> {
        unwrapped(event)
            .extensions()
            .get::<ClientIp>()
            .map(|client| client.address().to_string())
    }

    #[test]
    fn the_client_address_comes_from_the_platform_not_from_headers() {
        let http = |source: &str| {
            serde_json::json!({
                "version": "2.0", "rawPath": "/", "headers": {"x-forwarded-for": "192.0.2.66"},
                "requestContext": {"http": {"method": "GET", "sourceIp": source}},
            })
        };
        assert_eq!(client(&http("203.0.113.7")).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&http("2001:db8::1")).as_deref(), Some("2001:db8::1"));
        let rest = |source: &str| {
            serde_json::json!({
                "resource": "/", "path": "/", "httpMethod": "GET", "headers": {"X-Forwarded-For": "192.0.2.66"},
                "requestContext": {"httpMethod": "GET", "identity": {"sourceIp": source}},
            })
        };
        assert_eq!(client(&rest("203.0.113.7")).as_deref(), Some("203.0.113.7"));
        assert_eq!(client(&rest("test-invoke-source-ip")), None);
    }

    #[test]
    fn the_deadline_is_lambdas_unless_it_has_passed() {
        let now = "2026-11-23T08:00:00.123Z".parse().unwrap();
        let clock = Clock::Manual(crate::clock::ManualClock::new(now));
        let left = |deadline: i64| {
            let mut context = Context::default();
            context.deadline = u64::try_from(deadline).unwrap();
            super::deadline(&context, &clock).map(|PlatformDeadline(end)| end - Instant::now())
        };
        let milliseconds = |number| Duration::from_millis(number);
        let in_time = left(now.as_millisecond() + 5000).unwrap();
        assert!(
            in_time <= milliseconds(5000) && in_time > milliseconds(4000),
            "{in_time:?}"
        );
        assert_eq!(left(now.as_millisecond() - 1), None);
        assert_eq!(left(600_000), None);
    }

    #[test]
    fn a_stage_named_like_a_path_segment_hides_no_route() {
        let rest = serde_json::json!({
            "resource": "/{proxy+}", "path": "/api/v1/user/info", "httpMethod": "GET",
            "queryStringParameters": {"a": "1"}, "requestContext": {"stage": "api", "httpMethod": "GET"},
        });
        assert_eq!(routed(&rest), "/api/v1/user/info?a=1");
        let http = serde_json::json!({
            "version": "2.0", "rawPath": "/api/api/v1/user/info", "rawQueryString": "a=1",
            "requestContext": {"stage": "api", "http": {"method": "GET"}},
        });
        assert_eq!(routed(&http), "/api/v1/user/info?a=1");
    }
}
