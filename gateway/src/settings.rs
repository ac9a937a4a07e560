//! The settings that are the same wherever all functions run in one process.

use std::net::{IpAddr, ToSocketAddrs};

use shared::config::{Documented, Env, Port, Text};

shared::settings! {
    /// The settings of a process that serves HTTP itself, for the documents.
    pub DOCUMENTED in Server;

    pub HOST: Text = Text::new("127.0.0.1", "an IP address, or a name of this machine such as localhost"),
        "the address it listens on",
        "监听地址",
        wanted_zh("IP 地址，或本机的主机名（如 `localhost`）");
    pub PORT: Port = Port::new(9000),
        "the port it listens on; 0 takes any free one",
        "监听端口；0 表示任选空闲端口";
    pub METRICS_PORT: Port = Port::new(0),
        "where Prometheus reads `/metrics`, with `make run` on `HOST`, with `server` on `METRICS_HOST`; 0 takes any free one",
        "Prometheus 在此端口读取 `/metrics`，`make run` 的地址同 `HOST`，`server` 的为 `METRICS_HOST`；0 表示任选空闲端口",
        unset("not set: off", "未设置：关闭"), example("9090");
}

/// The AppSecret of all simulated mini-programs. It is valid for the simulator only.
pub const SIMULATED_APP_SECRET: &str = "simulated-app-secret-of-wx1";

/// Every setting of `shared`, of each function that has some of its own, and of this crate.
pub fn settings_of_functions() -> impl Iterator<Item = &'static Documented> {
    let own = [
        login::DOCUMENTED,
        callback::DOCUMENTED,
        config::DOCUMENTED,
        webhooks::DOCUMENTED,
        DOCUMENTED,
    ];
    shared::config::DOCUMENTED.into_iter().chain(own).flatten()
}

/// `HOST`; config errors are recorded in `env`.
#[must_use]
pub fn host(env: &Env) -> IpAddr {
    HOST.parse(env, address)
        .unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// An address, or that of a name: of several the first, IPv4 before IPv6.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse() {
        return Some(ip);
    }
    let addresses = (text, 0).to_socket_addrs().ok()?;
    let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
    let ipv4 = addresses.iter().find(|ip| ip.is_ipv4());
    ipv4.or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name() {
        for (text, wanted) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("::1", Some("::1")),
            ("[::1]", Some("::1")),
            ("localhost", Some("127.0.0.1")),
            ("not a name", None),
        ] {
            assert_eq!(
                address(text),
                wanted.map(|ip| ip.parse().unwrap()),
                "{text}"
            );
        }
    }
}
