//! Whose requests are answered that show or change more than a mini-program may: the playground's, of a browser
//! on this machine and there only of its own page, and the controls of the simulated WeChat, of no page on the web.
//!
//! Any page on the web can have the browser send requests to 127.0.0.1, and a name that its owner has
//! resolve to 127.0.0.1 (DNS rebinding) makes such a page read the answers, too. The request tells both:
//! its `Host` is then that name, its `Origin` or `Sec-Fetch-Site` another one than ours.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName,
        header::{FORWARDED, HOST, ORIGIN, REFERER},
        uri::Authority,
    },
};
use shared::edge::Arrival;

/// Fetch metadata (W3C): how the page that sends a request is related to its target.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a request is of the playground's own page in a browser on this machine, or of a program here
/// that says nothing of pages.
pub(crate) fn is_own(request: &Request) -> bool {
    is_from_this_machine(request) && is_of_own_page(request.headers())
}

/// What proxies add, among them the tunnels that make a port of this machine public: to us their requests
/// come from this machine.
const OF_PROXIES: [HeaderName; 3] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
];

/// What all requests of mini-programs come with, also in the developer tools, whose other headers are a
/// browser's. No page on the web can send it.
///
/// <https://developers.weixin.qq.com/miniprogram/dev/framework/ability/network.html>
const MINI_PROGRAM: &[u8] = b"https://servicewechat.com/";

/// Names that public DNS does not have: nobody can have them resolve to another machine's address (RFC 6761, 6762,
/// 8375; `internal` is reserved by ICANN).
const PRIVATE_NAMES: [&str; 4] = [".localhost", ".local", ".home.arpa", ".internal"];

/// Whether a request may control the simulated WeChat: log anybody in, push that a person cancelled. Phones
/// and containers in the same network may, and programs; a page on the web may not.
pub(crate) fn may_control(headers: &HeaderMap) -> bool {
    let is_of_mini_program = headers
        .get(REFERER)
        .is_some_and(|referer| referer.as_bytes().starts_with(MINI_PROGRAM));
    host(headers).is_some_and(|host| is_private_name(host.host()))
        && (is_of_mini_program || is_of_own_page(headers))
}

/// An address, or a name that public DNS does not have.
fn is_private_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    bare(&name).parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || PRIVATE_NAMES.iter().any(|private| name.ends_with(private))
}

/// Whether the peer is this machine and the request is for it, by a name that nobody else can have.
pub(crate) fn is_from_this_machine(request: &Request) -> bool {
    let arrival = request.extensions().get::<Arrival>();
    let peer = arrival.and_then(|arrival| arrival.peer);
    let headers = request.headers();
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && OF_PROXIES.iter().all(|name| !headers.contains_key(name))
        && host(headers).is_some_and(|host| is_loopback(&host))
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST)?.to_str().ok()?.parse().ok()
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host();
    let address = bare(name).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// An IPv6 address without its brackets; anything else as it is.
fn bare(name: &str) -> &str {
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    bare.unwrap_or(name)
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

    #[test]
    fn tunnels_are_refused() {
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host"] {
            let headers = [("host", "127.0.0.1:9000"), (name, "203.0.113.7")];
            assert!(!is_answered(Some("127.0.0.1"), &headers), "{name}");
        }
        assert!(!is_answered(None, &[("host", "127.0.0.1:9000")]));
    }

    fn controls(headers: &[(&str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        });
        may_control(&headers.collect())
    }

    #[test]
    fn the_simulator_is_controlled_by_any_name_of_the_own_network() {
        for host in [
            "127.0.0.1:9000",
            "192.168.1.7:9000",
            "[fe80::1]:9000",
            "localhost:9000",
            "backend:9000",
            "mac.local:9000",
            "host.docker.internal:9000",
        ] {
            assert!(controls(&[("host", host)]), "{host}");
        }
        for host in [
            "evil.example:9000",
            "127.0.0.1.evil.example",
            "local.evil.example",
        ] {
            assert!(!controls(&[("host", host)]), "{host}");
        }
        assert!(!controls(&[]));
    }

    #[test]
    fn the_simulator_is_controlled_by_no_page_on_the_web() {
        let host = ("host", "127.0.0.1:9000");
        let cross_site = ("sec-fetch-site", "cross-site");
        let referer = |value| ("referer", value);
        assert!(!controls(&[host, ("origin", "https://evil.example")]));
        assert!(!controls(&[host, cross_site]));
        assert!(!controls(&[
            host,
            cross_site,
            referer("https://evil.example/")
        ]));
        let tools =
            referer("https://servicewechat.com/wx0000000000000001/devtools/page-frame.html");
        assert!(controls(&[host, cross_site, tools]));
        let lookalike = referer("https://servicewechat.com.evil.example/");
        assert!(!controls(&[host, cross_site, lookalike]));
    }
}
