//! What must not reach people's data: the simulator of WeChat, and its secrets. Keys that everybody
//! knows are refused by whatever reads them.

use gateway::SIMULATED_APP_SECRET;
use shared::config::{Env, WECHAT_BASE_URL, WECHAT_SECRETS};
use url::{Host, Url};

/// The path under which `make run` has its simulator.
const SIMULATOR: &str = "/_wechat";

/// Records what is meant for development as config errors, unless it is allowed.
pub(crate) fn check(env: &Env, allowed: bool) {
    if allowed {
        return;
    }
    let url = WECHAT_BASE_URL
        .get(env)
        .and_then(|url| Url::parse(url).ok());
    if url.is_some_and(|url| is_simulator(&url)) {
        WECHAT_BASE_URL.add_error(
            env,
            "is a simulator, with which anybody can log in as anybody",
        );
    }
    let mut secrets = WECHAT_SECRETS.entries(env);
    if secrets.any(|pair| pair.ends_with(SIMULATED_APP_SECRET)) {
        WECHAT_SECRETS.add_error(env, "holds the secret of the simulator");
    }
}

/// An address of this machine, or the simulator's path.
fn is_simulator(url: &Url) -> bool {
    let is_own = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    is_own || url.path().starts_with(SIMULATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(variables: &[(&str, &str)], allowed: bool) -> Vec<&'static str> {
        let env = Env::new(variables.iter().copied());
        check(&env, allowed);
        let errors = env.validate().err().map(|errors| errors.0);
        let errors = errors.unwrap_or_default().into_iter();
        errors.map(|error| error.name).collect()
    }

    #[test]
    fn a_simulator_is_refused_unless_it_is_allowed() {
        for url in [
            "http://127.0.0.1:9000/_wechat",
            "http://localhost:8080",
            "http://[::1]:9000",
            "https://0.0.0.0",
            "https://dev.example.com/_wechat",
        ] {
            let variables = [("WECHAT_BASE_URL", url)];
            assert_eq!(refused(&variables, false), ["WECHAT_BASE_URL"], "{url}");
            assert!(refused(&variables, true).is_empty(), "{url}");
        }
        let proxy = [("WECHAT_BASE_URL", "https://wechat-proxy.example.com")];
        assert!(refused(&proxy, false).is_empty());
    }

    #[test]
    fn the_simulators_secret_is_refused() {
        let pair = format!("wx1:{SIMULATED_APP_SECRET}");
        let variables = [("WECHAT_SECRETS", &*pair)];
        assert_eq!(refused(&variables, false), ["WECHAT_SECRETS"]);
        assert!(refused(&[("WECHAT_SECRETS", "wx1:k3f9s0d8")], false).is_empty());
    }
}
