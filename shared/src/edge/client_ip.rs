//! The client's address: the peer that the platform or the TCP connection names, or the client that
//! a trusted proxy saw; never from an untrusted header.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{FromRequestParts, Request};
use http::{Extensions, HeaderMap, request::Parts};
use ipnet::IpNet;

use super::Arrival;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address; a request extension. `None` where the platform did not name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp(IpAddr);

impl ClientIp {
    /// A client with this address. An IPv4-mapped IPv6 address is converted to IPv4.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The address in a request's extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<IpAddr> {
        extensions.get().map(|client: &Self| client.address())
    }
}

/// The address of the client, for handlers. `None` where the platform did not name one.
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(ClientIp::of(&parts.extensions)))
    }
}

/// Adds the [`ClientIp`] of a request whose peer is known.
pub(super) fn resolve(trusted: &[IpNet], request: &mut Request) {
    let arrival = request.extensions().get::<Arrival>();
    if let Some(peer) = arrival.and_then(|arrival| arrival.peer) {
        let client = client_of(peer, request.headers(), trusted);
        request.extensions_mut().insert(client);
    }
}

/// The peer or, behind trusted proxies, the client that they saw: each appends its peer's address
/// to the header, so the rightmost address that is not a trusted proxy is the client's, and
/// everything to its left may be forged.
fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ClientIp {
    let is_ours = |client: ClientIp| {
        trusted
            .iter()
            .any(|network| network.contains(&client.address()))
    };
    let mut client = ClientIp::new(peer);
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    // As bytes: invalid text from the client must not make our proxy's part unreadable.
    for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        if !is_ours(client) {
            break;
        }
        // A trusted proxy can't have written this entry, so the chain ends.
        let Some(address) = parse(entry) else { break };
        client = ClientIp::new(address);
    }
    client
}

/// Parses an address, with a port (as some proxies write it) or without.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse()
        .ok()
        .or_else(|| entry.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let trusted: Vec<IpNet> = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        client_of(ip(peer), &headers, &trusted)
            .address()
            .to_string()
    }

    #[test]
    fn a_header_from_an_untrusted_peer_is_ignored() {
        assert_eq!(client("203.0.113.7", &["192.0.2.1"], &[]), "203.0.113.7");
        assert_eq!(
            client("203.0.113.7", &["192.0.2.1"], &["10.0.0.0/8"]),
            "203.0.113.7"
        );
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        let ours = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client("10.0.0.1", &["203.0.113.7"], &ours), "203.0.113.7");
        assert_eq!(
            client("10.0.0.1", &["192.0.2.1, 203.0.113.7"], &ours),
            "203.0.113.7"
        );
        assert_eq!(
            client("10.0.0.1", &["192.0.2.1, 203.0.113.7, 10.9.9.9"], &ours),
            "203.0.113.7"
        );
        assert_eq!(
            client("::ffff:10.0.0.1", &["2001:db8::1 , fd00::2"], &ours),
            "2001:db8::1"
        );
        // Several lines are one list (RFC 9110 §5.3).
        assert_eq!(
            client("10.0.0.1", &["192.0.2.1", "203.0.113.7", "10.9.9.9"], &ours),
            "203.0.113.7"
        );
        // A client inside the trusted networks.
        assert_eq!(
            client("10.0.0.1", &["10.1.1.1, 10.2.2.2"], &ours),
            "10.1.1.1"
        );
        assert_eq!(client("10.0.0.1", &[], &ours), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_parsed() {
        for entry in ["203.0.113.7:4711", "203.0.113.7"] {
            assert_eq!(
                client("10.0.0.1", &[entry], &["10.0.0.1/32"]),
                "203.0.113.7"
            );
        }
        for entry in ["[2001:db8::1]:4711", "[2001:db8::1]", "2001:db8::1"] {
            assert_eq!(
                client("10.0.0.1", &[entry], &["10.0.0.1/32"]),
                "2001:db8::1"
            );
        }
    }

    #[test]
    fn an_invalid_address_ends_the_chain() {
        for line in [
            "192.0.2.1, unknown",
            "192.0.2.1,",
            "192.0.2.1, 999.1.1.1",
            "é",
        ] {
            assert_eq!(
                client("10.0.0.1", &[line], &["10.0.0.0/8"]),
                "10.0.0.1",
                "{line}"
            );
        }
        assert_eq!(
            client("10.0.0.1", &["192.0.2.1, junk, 10.0.0.2"], &["10.0.0.0/8"]),
            "10.0.0.2"
        );
    }

    proptest! {
        /// A client can't spoof its address: our proxy appends the one that it saw.
        #[test]
        fn no_client_header_spoofs_the_address(sent in "[ -~é]{0,60}", client_ip: [u8; 4]) {
            prop_assume!(client_ip[0] != 10);
            let seen = IpAddr::from(client_ip);
            let mut headers = HeaderMap::new();
            let line = HeaderValue::from_bytes(format!("{sent}, {seen}").as_bytes()).unwrap();
            headers.insert(X_FORWARDED_FOR, line);
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            prop_assert_eq!(client_of(ip("10.0.0.1"), &headers, &trusted), ClientIp::new(seen));
        }
    }
}
