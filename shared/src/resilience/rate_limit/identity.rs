//! The identities that rate limits apply to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use sha2::{Digest, Sha256};

use super::Policy;
use crate::ids::{AppId, OpenId, SessionId, UserId};

/// The owner of the buckets that are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A user with a valid access token.
    User(UserId),
    /// One login of a user.
    Session(SessionId),
    /// Any other client, by IP address; of IPv6, the /64.
    Address(IpAddr),
    /// The /48 that an IPv6 address belongs to.
    Site(Ipv6Addr),
    /// One account in one mini-program: the beginning of a digest of both ids.
    Account([u8; 16]),
    /// A mini-program: the beginning of a digest of its AppID.
    App([u8; 16]),
}

impl Identity {
    /// The site of an IPv6 address; IPv4 has none.
    #[must_use]
    pub fn site(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V6(v6) => Some(Self::Site(prefix(v6, 48))),
            IpAddr::V4(_) => None,
        }
    }

    /// The account of a user in a mini-program.
    #[must_use]
    pub fn account(app_id: &AppId, open_id: &OpenId) -> Self {
        let hash = Sha256::new()
            .chain_update(app_id.as_str())
            .chain_update([0])
            .chain_update(open_id.as_str())
            .finalize();
        Self::Account(std::array::from_fn(|at| hash[at]))
    }

    /// A mini-program.
    #[must_use]
    pub fn app(app_id: &AppId) -> Self {
        let hash = Sha256::digest(app_id.as_str());
        Self::App(std::array::from_fn(|at| hash[at]))
    }

    /// The key of the bucket of `policy`. Buckets that one request charges share a cluster slot:
    /// those of an IPv6 address have the hash tag of its site.
    pub(super) fn key(&self, policy: &Policy) -> String {
        let name = policy.name();
        if let Self::Address(address) = self
            && let Some(site) = Self::site(*address)
        {
            return format!("{site}:{}/64:rl:{name}", network(*address));
        }
        format!("{self}:rl:{name}")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "{{u:{id}}}"),
            Self::Session(id) => write!(f, "{{s:{id}}}"),
            Self::Address(address) => write!(f, "{{ip:{}}}", network(*address)),
            Self::Site(site) => write!(f, "{{ip:{site}/48}}"),
            Self::Account(digest) => write!(f, "{{a:{}}}", hex::encode(digest)),
            Self::App(digest) => write!(f, "{{app:{}}}", hex::encode(digest)),
        }
    }
}

/// An IPv6 subscriber has a /64 (RFC 6177): counted by whole addresses, that would be 2^64 buckets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => prefix(v6, 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The first `length` bits of an address, which are more than none.
fn prefix(address: Ipv6Addr, length: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - length)))
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

    fn key(identity: Identity) -> String {
        let policy = Policy::new("login", 1, 1, std::time::Duration::from_secs(1)).unwrap();
        identity.key(&policy)
    }

    #[test]
    fn the_buckets_of_an_ipv6_network_and_of_its_site_share_a_slot() {
        let address = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(
            key(Identity::Address(address)),
            "{ip:2001:db8:1::/48}:2001:db8:1:2::/64:rl:login"
        );
        assert_eq!(
            Identity::site(address).map(key).as_deref(),
            Some("{ip:2001:db8:1::/48}:rl:login")
        );
    }

    #[test]
    fn an_ipv4_address_has_no_site() {
        for text in ["203.0.113.7", "::ffff:203.0.113.7"] {
            assert_eq!(Identity::site(text.parse().unwrap()), None);
            assert_eq!(
                key(Identity::Address(text.parse().unwrap())),
                "{ip:203.0.113.7}:rl:login"
            );
        }
    }

    #[test]
    fn an_account_is_named_by_a_digest_of_both_ids() {
        let account = |app_id: &str, open_id: &str| {
            Identity::account(&app_id.parse().unwrap(), &open_id.parse().unwrap()).to_string()
        };
        let alice = account("wx1", "oAlice");
        assert_eq!(alice, account("wx1", "oAlice"));
        assert_ne!(alice, account("wx2", "oAlice"));
        assert_ne!(alice, account("wx1", "oBob"));
        assert!(alice.len() == 36 && !alice.contains("oAlice"), "{alice}");
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
