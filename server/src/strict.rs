//! What must not reach people's data: the simulator of WeChat, and its secrets. Keys that everybody
//! knows are refused by whatever reads them.

use std::net::IpAddr;

use gateway::{SIMULATED_APP_SECRET, WEBHOOKS};
use shared::config::{Documented, Env, SECRET_SETTINGS, WECHAT_BASE_URL, WECHAT_SECRETS};
use url::{Host, Url};

/// The path under which `make run` has its simulator.
const SIMULATOR: &str = "_wechat";

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

/// Records secrets that stand in the documents as examples.
pub(crate) fn check_examples(env: &Env, settings: impl Iterator<Item = &'static Documented>) {
    for setting in settings.filter(|setting| SECRET_SETTINGS.contains(&setting.name)) {
        let (Some(value), Some(example)) = (env.get(setting.name), setting.example) else {
            continue;
        };
        let is_example = |part: &str| example.split(',').any(|known| known == part.trim());
        // An address holds no secret, and that of the example is the usual one.
        if setting.name != "REDIS_URL" && value.split(',').any(is_example) {
            env.add_error(setting.name, "holds a secret of the documents' examples");
        }
    }
}

/// Records receivers of webhooks as a config error: events are made of the table's changes, which only
/// Lambda and `make run` follow.
pub(crate) fn check_webhooks(env: &Env) {
    if WEBHOOKS.get(env).is_some() {
        WEBHOOKS.add_error(env, "is set, but only functions on Lambda deliver webhooks");
    }
}

/// An address of this machine, or the simulator's path.
fn is_simulator(url: &Url) -> bool {
    let is_own = |ip: IpAddr| {
        let ip = ip.to_canonical();
        ip.is_loopback() || ip.is_unspecified()
    };
    let is_own = match url.host() {
        Some(Host::Ipv4(ip)) => is_own(ip.into()),
        Some(Host::Ipv6(ip)) => is_own(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    };
    is_own || url.path().split('/').any(|segment| segment == SIMULATOR)
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
            "https://dev.example.com//_wechat",
            "https://[::ffff:127.0.0.1]",
            "https://localhost.",
            "https://wechat.localhost:8080/",
        ] {
            let variables = [("WECHAT_BASE_URL", url)];
            assert_eq!(refused(&variables, false), ["WECHAT_BASE_URL"], "{url}");
            assert!(refused(&variables, true).is_empty(), "{url}");
        }
        let proxy = [("WECHAT_BASE_URL", "https://wechat-proxy.example.com")];
        assert!(refused(&proxy, false).is_empty());
    }

    #[test]
    fn secrets_of_the_documents_are_refused() {
        let refused = |name: &'static str, value: &str| {
            let env = Env::new([(name, value)]);
            check_examples(&env, gateway::settings_of_functions());
            env.validate().is_err()
        };
        let of_documents = |name: &str| {
            let mut settings = gateway::settings_of_functions();
            settings
                .find(|setting| setting.name == name)
                .unwrap()
                .example
        };
        for name in ["MESSAGE_PUSH", "WECHAT_SECRETS"] {
            let example = of_documents(name).unwrap();
            assert!(refused(name, example), "{name}");
            assert!(refused(name, &format!("wx1:other, {example}")), "{name}");
            assert!(!refused(name, "wx1:other"), "{name}");
        }
        assert!(!refused("REDIS_URL", of_documents("REDIS_URL").unwrap()));
    }

    #[test]
    fn receivers_that_would_get_nothing_are_refused() {
        let is_refused = |variables: &[(&str, &str)]| {
            let env = Env::new(variables.iter().copied());
            check_webhooks(&env);
            env.validate().is_err()
        };
        assert!(is_refused(&[("WEBHOOKS", "[]")]));
        assert!(!is_refused(&[]));
    }

    #[test]
    fn the_simulators_secret_is_refused() {
        let pair = format!("wx1:{SIMULATED_APP_SECRET}");
        let variables = [("WECHAT_SECRETS", &*pair)];
        assert_eq!(refused(&variables, false), ["WECHAT_SECRETS"]);
        assert!(refused(&[("WECHAT_SECRETS", "wx1:k3f9s0d8")], false).is_empty());
    }
}
