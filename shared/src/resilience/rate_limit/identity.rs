//! The identities that rate limits apply to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use crate::ids::{SessionId, UserId};

/// The owner of the buckets that are charged. Its text is the hash tag of their keys, so that they
/// share a cluster slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A user with a valid access token.
    User(UserId),
    /// One login of a user.
    Session(SessionId),
    /// Any other client, by IP address.
    Address(IpAddr),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "{{u:{id}}}"),
            Self::Session(id) => write!(f, "{{s:{id}}}"),
            Self::Address(address) => write!(f, "{{ip:{}}}", network(*address)),
        }
    }
}

/// An IPv6 subscriber has a /64 (RFC 6177): counted by whole addresses, that would be 2^64 buckets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        Identity::Address(text.parse().unwrap()).to_string()
    }

    #[test]
    fn an_ipv6_address_counts_as_its_network() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), "{ip:2001:db8:1:2::}");
        assert_eq!(address("2001:db8:1:2:ffff::1"), address("2001:db8:1:2::"));
        assert_ne!(address("2001:db8:1:3::1"), address("2001:db8:1:2::1"));
    }

    #[test]
    fn an_ipv4_address_counts_as_itself_in_either_notation() {
        assert_eq!(address("203.0.113.7"), "{ip:203.0.113.7}");
        assert_eq!(address("::ffff:203.0.113.7"), "{ip:203.0.113.7}");
    }

    #[test]
    fn users_and_sessions_have_their_own_tags() {
        let id = "0193c0de-0000-7000-8000-00000000abcd";
        assert_eq!(
            Identity::User(id.parse().unwrap()).to_string(),
            format!("{{u:{id}}}")
        );
        assert_eq!(
            Identity::Session(id.parse().unwrap()).to_string(),
            format!("{{s:{id}}}")
        );
    }
}
