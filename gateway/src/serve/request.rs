//! A request on its way from hyper to the app.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONNECTION, EXPECT, HOST},
    uri::PathAndQuery,
};
use axum::{body::Body, extract::Request, response::Response};
use hyper::body::Incoming;
use shared::edge::{Arrival, Malformed, normalized_path};
use tokio::time::Instant;
use tower::ServiceExt;

use super::{
    Server,
    body::{Rest, TimedBody},
    phase::{Phase, SharedPhase},
};

/// Answers one request. When the connection can't carry another one, the answer says so
/// (RFC 9112 §9.6).
pub(super) async fn answer(
    server: Arc<Server>,
    request: axum::http::Request<Incoming>,
    peer: IpAddr,
    phase: SharedPhase,
) -> Result<Response, Infallible> {
    phase.set(Phase::Serving);
    let awaits_100 = request.headers().contains_key(EXPECT);
    let rest = Rest::default();
    let limits = &server.limits;
    let request = request.map(|incoming| {
        let body = TimedBody::new(incoming, limits.body, phase.clone(), rest.clone());
        Body::new(body)
    });
    let request = prepared(request, peer);
    let Ok(mut response) = server.app.clone().oneshot(request).await;
    phase.set(Phase::Body(Instant::now()));
    let is_stopping = *server.stopping.borrow();
    if !rest.discard(awaits_100, limits.rest).await || is_stopping {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    phase.set(Phase::Idle(Instant::now()));
    Ok(response)
}

/// The request as the app expects it: with its peer, and its path as routes are written.
fn prepared(mut request: Request, peer: IpAddr) -> Request {
    if let Some(cause) = host_error(request.version(), request.headers()) {
        let method = request.method().clone();
        return malformed(method, Malformed::invalid(cause), peer);
    }
    let mut arrival = Arrival {
        peer: Some(peer),
        ..Arrival::default()
    };
    let path = request.uri().path();
    let normalized = normalized_path(path);
    if normalized != path
        && let Some(uri) = with_path(request.uri(), &normalized)
    {
        arrival.original_path = Some(path.to_owned());
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(arrival);
    request
}

/// A request in place of one that is malformed. It is for no path: what answers it is the edge.
pub(super) fn malformed(method: Method, malformed: Malformed, peer: IpAddr) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    request.extensions_mut().insert(Arrival {
        peer: Some(peer),
        malformed: Some(malformed),
        ..Arrival::default()
    });
    request
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

/// RFC 9112 §3.2: since HTTP/1.1, a request has exactly one valid `Host`. An empty one would be that
/// of a URI without a host, which an http URI is not (RFC 9110 §4.2.1).
fn host_error(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version >= Version::HTTP_11 => Some("the Host header is missing"),
        (Some(_), Some(_)) => Some("there are several Host headers"),
        (Some(host), None) if !is_host(host) => Some("the Host header is invalid"),
        _ => None,
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2): a registered name, an IPv4 or, in brackets, an IPv6
/// address (RFC 3986 §3.2.2).
fn is_host(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    if let Some(rest) = text.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(address, port)| address.parse::<Ipv6Addr>().is_ok() && is_port(port));
    }
    let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    !name.is_empty() && name.bytes().all(is_allowed) && is_port(port)
}

/// Nothing, or a colon with a port, which may be empty.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(version: Version, hosts: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        host_error(version, &headers)
    }

    #[test]
    fn valid_hosts_are_accepted() {
        for host in [
            "a",
            "a.example",
            "a.example:9000",
            "a.example:",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:9000",
            "xn--fiq.cn",
            "a_b",
            "a%20b",
            "A.EXAMPLE",
        ] {
            assert_eq!(error(Version::HTTP_11, &[host]), None, "{host}");
        }
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for host in [
            "", " ", "a b", "a/b", "a?b", "a#b", "user@a", "http://a", "a:b", "a:80:80", "a:99999",
            "[::1", "::1", "[a]", "[::1]a", "a,b", "a\\b", "é", ":80", "a:-1", "a:+1",
        ] {
            let found = error(Version::HTTP_11, &[host]);
            // A comma is a valid character of a registered name.
            assert_eq!(found.is_some(), host != "a,b", "{host}");
        }
    }

    #[test]
    fn exactly_one_host_is_required_since_http_1_1() {
        assert!(error(Version::HTTP_11, &[]).is_some());
        assert!(error(Version::HTTP_11, &["a", "a"]).is_some());
        assert!(error(Version::HTTP_10, &[]).is_none());
        assert!(error(Version::HTTP_10, &["a", "b"]).is_some());
        assert!(error(Version::HTTP_10, &["a b"]).is_some());
    }
}
