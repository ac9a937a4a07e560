//! Who the playground answers to: a browser on this machine, and there only its own page.
//!
//! Any page on the web can have the browser send requests to 127.0.0.1, and a name that its owner has
//! resolve to 127.0.0.1 (DNS rebinding) makes such a page read the answers, too. The request tells both:
//! its `Host` is then that name, its `Origin` or `Sec-Fetch-Site` another one than ours.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
};
use shared::edge::Arrival;

/// Fetch metadata (W3C): how the page that sends a request is related to its target.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a request is of the playground's own page in a browser on this machine, or of a program here
/// that says nothing of pages.
pub(super) fn is_own(request: &Request) -> bool {
    is_from_this_machine(request) && is_of_own_page(request.headers())
}

/// Whether the peer is this machine and the request is for it, by a name that nobody else can have.
pub(super) fn is_from_this_machine(request: &Request) -> bool {
    let arrival = request.extensions().get::<Arrival>();
    let peer = arrival.and_then(|arrival| arrival.peer);
    peer.is_none_or(|peer| peer.to_canonical().is_loopback())
        && host(request.headers()).is_some_and(|host| is_loopback(&host))
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host();
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let address = bare.unwrap_or(name).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Browsers send `Origin` with every request but plain reads, and `Sec-Fetch-Site` with all of them. An
/// origin on another port of this machine is another site's page, too.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    let is_own_origin = headers.get(ORIGIN).is_none_or(|origin| {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let own = host.map(|host| format!("http://{host}"));
        own.is_some_and(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()))
    });
    let is_own_site = headers
        .get(SEC_FETCH_SITE)
        .is_none_or(|site| site == "same-origin" || site == "none");
    is_own_origin && is_own_site
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_answered(peer: Option<&str>, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Arrival {
            peer: peer.map(|peer| peer.parse().unwrap()),
            ..Arrival::default()
        });
        is_own(&request)
    }

    #[test]
    fn names_of_this_machine_are_answered() {
        for host in [
            "127.0.0.1:9000",
            "127.0.0.1",
            "127.1.2.3:9000",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:9000",
        ] {
            assert!(is_answered(Some("127.0.0.1"), &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused_whatever_they_resolve_to() {
        for host in [
            "evil.example:9000",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9000",
            "192.168.1.7:9000",
            "0.0.0.0:9000",
            "[::]:9000",
            "user@evil.example",
        ] {
            assert!(!is_answered(Some("127.0.0.1"), &[("host", host)]), "{host}");
        }
        assert!(!is_answered(Some("127.0.0.1"), &[]));
    }

    #[test]
    fn other_machines_are_refused_whatever_host_they_name() {
        let host = [("host", "127.0.0.1:9000")];
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_answered(Some(peer), &host), "{peer}");
        }
        for peer in ["192.168.1.7", "10.0.0.2", "fe80::1", "::ffff:10.0.0.2"] {
            assert!(!is_answered(Some(peer), &host), "{peer}");
        }
    }

    #[test]
    fn requests_of_other_pages_are_refused() {
        let host = ("host", "127.0.0.1:9000");
        for (own, name, value) in [
            (true, "origin", "http://127.0.0.1:9000"),
            (false, "origin", "http://127.0.0.1:9001"),
            (false, "origin", "https://127.0.0.1:9000"),
            (false, "origin", "http://localhost:9000"),
            (false, "origin", "https://evil.example"),
            (false, "origin", "null"),
            (true, "sec-fetch-site", "same-origin"),
            (true, "sec-fetch-site", "none"),
            (false, "sec-fetch-site", "same-site"),
            (false, "sec-fetch-site", "cross-site"),
        ] {
            let answered = is_answered(Some("127.0.0.1"), &[host, (name, value)]);
            assert_eq!(answered, own, "{name}: {value}");
        }
    }
}
