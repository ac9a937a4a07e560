//! Proxies of ours in front of a server of ours.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::Env;

/// Proxies of ours in front of a server of ours; API Gateway and Lambda need none.
pub struct ProxySettings {
    /// `TRUSTED_PROXIES`: comma list of addresses and networks (`10.0.0.0/8`) whose
    /// `X-Forwarded-For` is believed. Default none: the caller is whoever opened the connection.
    pub trusted: Vec<IpNet>,
}

impl ProxySettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let network = |(index, text): (usize, &str)| {
            let network = text
                .parse()
                .ok()
                .or_else(|| text.parse().ok().map(|address: IpAddr| address.into()));
            if network.is_none() {
                let what = format!(
                    "entry {} is not an address or a network such as 10.0.0.0/8",
                    index + 1
                );
                env.problem("TRUSTED_PROXIES", what);
            }
            network
        };
        Self {
            trusted: env
                .list("TRUSTED_PROXIES")
                .enumerate()
                .filter_map(network)
                .collect(),
        }
    }
}
