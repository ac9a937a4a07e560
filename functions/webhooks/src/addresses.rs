//! Which addresses are called: those of the public Internet, and networks that the operator names.
//!
//! Receivers' names are resolved here, for each connection, and every address is checked before it is
//! connected to. So a name that resolves to another address after a check is of no use (DNS rebinding).

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// What is not the public Internet, of IPv4: IANA's special-purpose addresses that are not globally
/// reachable, and multicast.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([192, 175, 48, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
];
/// From here on: multicast (224/4), reserved (240/4), broadcast.
const FIRST_MULTICAST: u8 = 224;
/// The only part of IPv6 that is given out as global unicast.
const GLOBAL_V6: Ipv6Net = v6(0x2000 << 112, 3);
/// What of it is not the public Internet: protocol assignments with Teredo, documentation, 6to4 (which
/// wraps any IPv4 address), AS112, segment routing.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6(0x2001 << 112, 23),
    v6(0x2001_0db8 << 96, 32),
    v6(0x2002 << 112, 16),
    v6(0x2620_004f_8000 << 80, 48),
    v6(0x3fff << 112, 20),
];
/// What no setting opens: addresses at which clouds serve credentials. Link-local ones (AWS, Azure, Google,
/// Tencent), and those of Alibaba Cloud and Oracle Cloud, which are in shared and reserved space.
const NEVER: [IpNet; 5] = [
    IpNet::V4(v4([169, 254, 0, 0], 16)),
    IpNet::V4(v4([100, 100, 100, 200], 32)),
    IpNet::V4(v4([192, 0, 0, 192], 32)),
    IpNet::V6(v6(0xfe80 << 112, 10)),
    IpNet::V6(v6(0xfd00_0ec2 << 96, 32)),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6(first: u128, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(first), bits)
}

/// Which addresses may be called. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AllowedAddresses(Arc<[IpNet]>);

impl AllowedAddresses {
    /// The public ones, and these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Whether this address may be called.
    pub fn allow(&self, address: IpAddr) -> bool {
        let is_never = |address: IpAddr| NEVER.iter().any(|net| net.contains(&address));
        let is_closed = is_never(address.to_canonical()) || wrapped(address).is_some_and(is_never);
        !is_closed && (is_public(address) || self.is_configured(address))
    }

    /// Whether one of the operator's networks has this address.
    pub fn is_configured(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// The IPv4 address that a translator makes of an IPv6 address: NAT64 (RFC 6052), 6to4 (RFC 3056), and
/// IPv4-compatible ones (RFC 4291).
fn wrapped(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(ip) = address else { return None };
    let [first, second, third, ..] = ip.segments();
    let [.., a, b, c, d] = ip.octets();
    let wrapped = match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => Ipv4Addr::new(a, b, c, d),
        _ if first == 0x2002 => Ipv4Addr::from_bits(u32::from(second) << 16 | u32::from(third)),
        _ => return None,
    };
    Some(wrapped.into())
}

/// Whether a network has no address of the public Internet.
pub fn is_private(network: &IpNet) -> bool {
    match network {
        IpNet::V4(net) => {
            let is_multicast = net.network().octets()[0] >= FIRST_MULTICAST;
            is_multicast || SPECIAL_V4.iter().any(|special| special.contains(net))
        }
        IpNet::V6(net) => {
            let is_apart = !GLOBAL_V6.contains(net) && !net.contains(&GLOBAL_V6);
            is_apart || SPECIAL_V6.iter().any(|special| special.contains(net))
        }
    }
}

/// Whether an address is one of the public Internet. An IPv4 address that is mapped into IPv6 is what it
/// maps.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            ip.octets()[0] < FIRST_MULTICAST && !SPECIAL_V4.iter().any(|net| net.contains(&ip))
        }
        IpAddr::V6(ip) => {
            GLOBAL_V6.contains(&ip) && !SPECIAL_V6.iter().any(|net| net.contains(&ip))
        }
    }
}

/// A name without an address that may be called.
#[derive(Debug, Error)]
#[error("the name resolves to no public address")]
pub struct NotPublic;

/// Resolves names to the addresses that may be called.
pub struct AllowedResolver(pub AllowedAddresses);

impl Resolve for AllowedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> =
                found.filter(|found| allowed.allow(found.ip())).collect();
            if addresses.is_empty() {
                return Err(Box::<dyn Error + Send + Sync>::from(NotPublic));
            }
            Ok::<Addrs, _>(Box::new(addresses.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;

    use super::*;

    fn allowed(networks: &[&str]) -> AllowedAddresses {
        let networks = networks.iter().map(|net| net.parse().unwrap());
        AllowedAddresses::new(networks.collect())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_the_public_internet_are_called() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:4860:4860::8888",
            "2400:3200::1",
            "2606:4700:4700::1111",
        ] {
            assert!(allowed(&[]).allow(ip(text)), "{text}");
        }
    }

    /// Addresses of no public network.
    const NOT_PUBLIC: [&str; 49] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200", // metadata of Alibaba Cloud
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.0.1",
        "169.254.169.254", // metadata of AWS and others
        "169.254.170.2",   // credentials of ECS tasks
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.0.192", // metadata of Oracle Cloud
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254", // metadata of AWS
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ];

    #[test]
    fn addresses_of_no_public_network_are_not_called() {
        for text in NOT_PUBLIC {
            assert!(!allowed(&[]).allow(ip(text)), "{text}");
        }
    }

    #[test]
    fn a_network_of_the_operators_is_called_too() {
        let allowed = allowed(&["10.1.0.0/16", "::1/128"]);
        for text in ["10.1.2.3", "::ffff:10.1.2.3", "::1", "1.1.1.1"] {
            assert!(allowed.allow(ip(text)), "{text}");
        }
        assert!(!allowed.allow(ip("10.2.0.1")) && !allowed.allow(ip("127.0.0.1")));
    }

    #[test]
    fn no_setting_opens_the_addresses_of_metadata() {
        let all = allowed(&["0.0.0.0/0", "::/0"]);
        assert!(all.allow(ip("10.0.0.1")) && all.allow(ip("fd01::1")));
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "100.100.100.200",
            "192.0.0.192",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::6464:64c8",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert!(!all.allow(ip(text)), "{text}");
        }
    }

    #[test]
    fn a_private_network_has_no_public_address() {
        for (text, expected) in [
            ("10.1.0.0/16", true),
            ("192.168.0.0/16", true),
            ("100.64.0.0/10", true),
            ("fd12::/16", true),
            ("::1/128", true),
            ("2001:db8::/32", true),
            ("0.0.0.0/0", false),
            ("10.0.0.0/7", false),
            ("8.8.8.0/24", false),
            ("::/0", false),
            ("2000::/3", false),
            ("2606:4700::/32", false),
        ] {
            assert_eq!(is_private(&text.parse().unwrap()), expected, "{text}");
        }
    }

    proptest! {
        /// The standard library's own, stable methods never contradict the list.
        #[test]
        fn nothing_that_the_standard_library_calls_private_is_public(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            let is_special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_broadcast() || ip.is_documentation() || ip.is_unspecified() || ip.is_multicast();
            prop_assert!(!(is_special && is_public(ip.into())));
            prop_assert_eq!(is_public(ip.into()), is_public(ip.to_ipv6_mapped().into()));
        }

        #[test]
        fn nothing_private_of_ipv6_is_public(
            (first, prefix) in prop::sample::select(vec![(0u128, 96), (0xfc << 120, 7), (0xfe80 << 112, 10), (0xff << 120, 8)]),
            bits: u128,
        ) {
            let ip = Ipv6Addr::from_bits(first | (bits & (u128::MAX >> prefix)));
            let is_special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast()
                || ip.is_unique_local() || ip.is_unicast_link_local();
            prop_assert!(!(is_special && is_public(ip.into())));
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_has_no_address() {
        let name = || Name::from_str("localhost").unwrap();
        let public = AllowedResolver(allowed(&[]));
        let Err(error) = public.resolve(name()).await else {
            panic!("resolved")
        };
        assert!(error.is::<NotPublic>(), "{error}");
        let local = AllowedResolver(allowed(&["127.0.0.0/8", "::1/128"]));
        assert!(local.resolve(name()).await.unwrap().count() > 0);
    }
}
