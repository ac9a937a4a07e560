//! Proxies in front of API Gateway or of a server of your own.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    config::{Env, List},
    settings,
};

settings! {
    /// The settings of proxies.
    pub DOCUMENTED in Requests;

    TRUSTED_PROXIES: List = List::optional("addresses and networks such as 10.0.0.0/8"),
        "proxies and CDNs in front of the service, whose `X-Forwarded-For` is believed; API Gateway itself is none of them",
        "服务前面的代理和 CDN，只信任它们的 `X-Forwarded-For`；API Gateway 本身不必填写",
        wanted_zh("地址或网段（如 `10.0.0.0/8`），逗号分隔"), unset("not set: none", "未设置：无"), example("10.0.0.0/8,192.0.2.1");
}

/// Proxies in front of API Gateway or of a server of your own.
pub struct ProxySettings {
    /// `TRUSTED_PROXIES`: their `X-Forwarded-For` is believed. None: the client is the one that
    /// opened the connection, on Lambda the event's source address.
    pub trusted: Vec<IpNet>,
}

impl ProxySettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let network = |(index, text): (usize, &str)| {
            let address = || text.parse().ok().map(|address: IpAddr| address.into());
            let network = text.parse().ok().or_else(address).map(canonical);
            if network.is_none() {
                let what = "is not an address or a network such as 10.0.0.0/8";
                TRUSTED_PROXIES.add_entry_error(env, index, what);
            }
            // Clients would be inside it, and anyone can write the header.
            if network.is_some_and(is_too_wide) {
                let what = "is too wide: a network is at most a /8 of IPv4 or a /16 of IPv6";
                TRUSTED_PROXIES.add_entry_error(env, index, what);
            }
            network
        };
        let entries = TRUSTED_PROXIES.entries(env).enumerate();
        Self {
            trusted: entries.filter_map(network).collect(),
        }
    }
}

/// How long the `::ffff:0:0/96` in front of an IPv4-mapped address is, in bits (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

/// The IPv4 network, where `network` is one that is written as IPv4-mapped IPv6: addresses of clients
/// are compared as IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let ipv4 = mapped.addr().to_ipv4_mapped();
    let prefix = mapped.prefix_len().checked_sub(MAPPED);
    let ipv4 = ipv4.zip(prefix);
    let ipv4 = ipv4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    ipv4.map_or(network, IpNet::V4)
}

/// Unique local addresses (RFC 4193): no client on the internet has one.
const PRIVATE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

/// No proxy or CDN has as many addresses.
fn is_too_wide(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        // One that is written as IPv4-mapped and still is IPv6 holds all of IPv4.
        IpNet::V6(network) => {
            let is_public = !PRIVATE.contains(&network);
            (network.prefix_len() < 16 && is_public) || network.addr().to_ipv4_mapped().is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted(text: &str) -> Result<Vec<String>, String> {
        let env = Env::new([("TRUSTED_PROXIES", text)]);
        let networks = ProxySettings::read(&env).trusted;
        match env.validate() {
            Ok(()) => Ok(networks.iter().map(ToString::to_string).collect()),
            Err(errors) => Err(errors.to_string()),
        }
    }

    #[test]
    fn an_ipv4_mapped_network_is_its_ipv4_network() {
        for (text, wanted) in [
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:0/120", "10.0.0.0/24"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::1", "::1/128"),
        ] {
            assert_eq!(trusted(text), Ok(vec![wanted.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_network_that_holds_clients_is_too_wide() {
        for allowed in ["10.0.0.0/8", "2001::/16", "2001:db8::/32", "fd00::/8"] {
            assert_eq!(trusted(allowed), Ok(vec![allowed.to_owned()]));
        }
        for text in [
            "0.0.0.0/0",
            "128.0.0.0/1",
            "10.0.0.0/7",
            "::/0",
            "2000::/3",
            "2400::/15",
            "::ffff:0.0.0.0/96",
            "::ffff:10.0.0.0/103",
            "::ffff:10.0.0.0/64",
        ] {
            let wanted = "TRUSTED_PROXIES: entry 2 is too wide: a network is at most a /8 of IPv4 or a /16 of IPv6";
            let refused = trusted(&format!("192.0.2.1,{text}"));
            assert_eq!(refused, Err(wanted.to_owned()), "{text}");
        }
    }
}
