//! Proxies in front of API Gateway or of a server of your own.

use std::net::IpAddr;

use ipnet::IpNet;

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
            let network = text.parse().ok().or_else(address);
            if network.is_none() {
                let what = "is not an address or a network such as 10.0.0.0/8";
                TRUSTED_PROXIES.add_entry_error(env, index, what);
            }
            // Then the whole header would be believed, which anyone can write.
            if network.is_some_and(|network: IpNet| network.prefix_len() == 0) {
                TRUSTED_PROXIES.add_entry_error(env, index, "trusts every address");
            }
            network
        };
        let entries = TRUSTED_PROXIES.entries(env).enumerate();
        Self {
            trusted: entries.filter_map(network).collect(),
        }
    }
}
