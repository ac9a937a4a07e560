//! The receivers, and how they are called.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;
use shared::config::{Env, List, Optional, Period};
use url::{Host, Url};

use crate::{
    addresses::{AllowedAddresses, is_private},
    signature::WebhookSecret,
};

shared::settings! {
    /// The settings of this function, for the documents.
    pub DOCUMENTED in Webhooks;

    pub WEBHOOKS: Optional = Optional::new("a JSON list of receivers"),
        "the receivers, a JSON list with id, url, secrets and events of each ([webhooks.md](webhooks.md#receivers)). Make a secret: `echo \"whsec_$(openssl rand -base64 32)\"`",
        "接收方的 JSON 列表，各有 id、url、secrets、events（见 [webhooks.md](webhooks.md#接收方)）。生成密钥：`echo \"whsec_$(openssl rand -base64 32)\"`",
        wanted_zh("接收方的 JSON 列表"), unset("not set: no receiver", "未设置：没有接收方");
    pub WEBHOOK_PRIVATE_NETWORKS: List = List::optional("networks such as 10.1.0.0/16"),
        "private networks that receivers may be in, also without https; every other address has to be a public one",
        "接收方可以位于的私有网络，其中可不使用 https；其他地址必须是公网地址",
        wanted_zh("网段，逗号分隔，如 `10.1.0.0/16`"), unset("not set: none", "未设置：无"), example("10.1.0.0/16"), has_local_value();
    WEBHOOK_TIMEOUT_MS: Period = Period::milliseconds(10_000, 500..=20_000),
        "how long a receiver has to answer",
        "接收方须在此时间内应答";
    WEBHOOK_RETRY_SECONDS: Period = Period::seconds(259_200, 60..=1_036_800),
        "how long a delivery is tried before it is given up",
        "投递失败后重试多久才放弃";
}

/// Receivers at most.
const MAX_RECEIVERS: usize = 50;
/// Secrets of a receiver at most.
const MAX_SECRETS: usize = 3;
/// Characters of a receiver's id at most.
const MAX_ID: usize = 32;

/// The types that an event can have, besides those of WeChat's messages.
const TYPES: [&str; 8] = [
    "user.created",
    "user.updated",
    "user.deleted",
    "user.merged",
    "session.revoked",
    "message.sent",
    "message.refused",
    "message.failed",
];
/// How types begin.
const GROUPS: [&str; 4] = ["user.", "session.", "message.", WECHAT];
/// What WeChat pushes cannot be listed.
const WECHAT: &str = "wechat.";

/// A receiver.
pub struct Receiver {
    /// The operator's name of it.
    pub id: String,
    /// Where events are posted to.
    pub url: Url,
    /// With what they are signed: at least one.
    pub secrets: Vec<WebhookSecret>,
    /// The types that it wants.
    events: Vec<Pattern>,
}

/// Which types of events are meant.
enum Pattern {
    One(String),
    /// All that begin so.
    Prefix(String),
}

impl Receiver {
    /// Whether it wants events of this type.
    pub fn wants(&self, kind: &str) -> bool {
        self.events.iter().any(|pattern| match pattern {
            Pattern::One(exact) => exact == kind,
            Pattern::Prefix(prefix) => kind.starts_with(prefix.as_str()),
        })
    }
}

/// The settings of this function.
pub struct DeliverySettings {
    /// `WEBHOOKS`.
    pub receivers: Vec<Receiver>,
    /// `WEBHOOK_PRIVATE_NETWORKS`, and the public Internet.
    pub addresses: AllowedAddresses,
    /// `WEBHOOK_TIMEOUT_MS`.
    pub timeout: Duration,
    /// `WEBHOOK_RETRY_SECONDS`.
    pub give_up_after: Duration,
}

impl DeliverySettings {
    /// Reads the settings; config errors are recorded in `env`.
    pub fn read(env: &Env) -> Self {
        let addresses = AllowedAddresses::new(networks(env));
        let rules = UrlRules {
            addresses: &addresses,
            is_local: env.is_local(),
        };
        Self {
            receivers: receivers(env, &rules),
            timeout: WEBHOOK_TIMEOUT_MS.read(env),
            give_up_after: WEBHOOK_RETRY_SECONDS.read(env),
            addresses,
        }
    }
}

fn networks(env: &Env) -> Vec<IpNet> {
    let entries = WEBHOOK_PRIVATE_NETWORKS.entries(env).enumerate();
    let read = entries.filter_map(|(index, entry)| {
        let network = entry.parse().ok().filter(is_private);
        if network.is_none() {
            WEBHOOK_PRIVATE_NETWORKS.add_entry_error(env, index, "is not a private network");
        }
        network
    });
    read.collect()
}

/// As it stands in the setting.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceiver {
    id: String,
    url: String,
    secrets: Vec<String>,
    #[serde(default = "everything")]
    events: Vec<String>,
}

/// What a receiver wants that does not say it.
fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Which URLs may be called.
struct UrlRules<'a> {
    addresses: &'a AllowedAddresses,
    is_local: bool,
}

/// Errors name a receiver by its place, and never what stands there: it can be a secret.
fn receivers(env: &Env, rules: &UrlRules<'_>) -> Vec<Receiver> {
    let Some(text) = WEBHOOKS.get(env) else {
        return Vec::new();
    };
    let Ok(entries) = serde_json::from_str::<Vec<Value>>(text) else {
        WEBHOOKS.add_error(env, "is not a JSON list");
        return Vec::new();
    };
    if entries.len() > MAX_RECEIVERS {
        WEBHOOKS.add_error(env, format!("has more than {MAX_RECEIVERS} receivers"));
    }
    let mut ids = BTreeSet::new();
    let mut receivers = Vec::new();
    for (entry, position) in entries.into_iter().zip(1..) {
        match receiver(entry, rules) {
            Ok(receiver) if !ids.insert(receiver.id.clone()) => {
                WEBHOOKS.add_error(env, format!("receiver {position} has the id of another"));
            }
            Ok(receiver) => receivers.push(receiver),
            Err(why) => WEBHOOKS.add_error(env, format!("receiver {position}: {why}")),
        }
    }
    receivers
}

fn receiver(entry: Value, rules: &UrlRules<'_>) -> Result<Receiver, &'static str> {
    let raw: RawReceiver = serde_json::from_value(entry)
        .map_err(|_| "wanted: an object with id, url, secrets and perhaps events")?;
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=MAX_ID).contains(&raw.id.len()) || !raw.id.bytes().all(is_id) {
        return Err("id is not 1 to 32 letters, digits, - and _");
    }
    let secrets = raw.secrets.iter().map(|text| WebhookSecret::parse(text));
    let secrets: Option<Vec<_>> = secrets.collect();
    let secrets = secrets.filter(|secrets| (1..=MAX_SECRETS).contains(&secrets.len()));
    let events: Option<Vec<_>> = raw.events.iter().map(|text| pattern(text)).collect();
    Ok(Receiver {
        url: rules.check(&raw.url)?,
        secrets: secrets.ok_or("secrets are not 1 to 3 of whsec_ and 24 to 64 bytes in base64")?,
        events: events
            .filter(|events| !events.is_empty())
            .ok_or("events are not types such as user.created, user.* or *")?,
        id: raw.id,
    })
}

/// `user.created`, `user.*` or `*`.
fn pattern(text: &str) -> Option<Pattern> {
    if text == "*" {
        return Some(Pattern::Prefix(String::new()));
    }
    if let Some(prefix) = text.strip_suffix('*') {
        let is_group = GROUPS.contains(&prefix);
        return is_group.then(|| Pattern::Prefix(prefix.to_owned()));
    }
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let of_wechat = text.strip_prefix(WECHAT);
    let is_of_wechat = of_wechat.is_some_and(|kind| !kind.is_empty() && kind.bytes().all(is_word));
    let is_known = is_of_wechat || TYPES.contains(&text);
    is_known.then(|| Pattern::One(text.to_owned()))
}

impl UrlRules<'_> {
    /// An https URL without a fragment and credentials. Plain http is for addresses that the operator
    /// names as private, and for local development. An address instead of a name is not resolved, so it
    /// is checked here.
    fn check(&self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "url is not a URL")?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("url has a fragment or credentials");
        }
        let address: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            Some(Host::Domain(_)) => None,
            None => return Err("url has no host"),
        };
        if address.is_some_and(|address| !self.addresses.allow(address)) {
            return Err("url is at an address that is not public");
        }
        let is_private = address.is_some_and(|address| self.addresses.is_configured(address));
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_private || self.is_local => Ok(url),
            _ => Err("url is not https"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(webhooks: &str, networks: &str) -> Result<DeliverySettings, Vec<String>> {
        let env = Env::new([
            ("WEBHOOKS", webhooks),
            ("WEBHOOK_PRIVATE_NETWORKS", networks),
        ]);
        let settings = DeliverySettings::read(&env);
        match env.validate() {
            Ok(()) => Ok(settings),
            Err(errors) => Err(errors.0.into_iter().map(|error| error.what).collect()),
        }
    }

    fn one(url: &str, events: &str) -> String {
        let entry =
            format!(r#"[{{"id":"crm","url":"{url}","secrets":["{SECRET}"],"events":{events}}}]"#);
        entry.replace(r#","events":null"#, "")
    }

    #[test]
    fn a_receiver_wants_what_it_names() {
        let wants = |events: &str, kind: &str| {
            let settings = read(&one("https://a.cn/x?y=1", events), "").unwrap();
            settings.receivers[0].wants(kind)
        };
        for (events, kind, wanted) in [
            (r#"["user.created"]"#, "user.created", true),
            (r#"["user.created"]"#, "user.deleted", false),
            (r#"["user.*"]"#, "user.deleted", true),
            (r#"["user.*"]"#, "session.revoked", false),
            (r#"["message.*"]"#, "message.refused", true),
            (r#"["message.sent"]"#, "message.failed", false),
            (r#"["*"]"#, "wechat.user_authorization_revoke", true),
            (r#"["wechat.text","user.deleted"]"#, "user.deleted", true),
            ("null", "user.created", true),
        ] {
            assert_eq!(wants(events, kind), wanted, "{events} {kind}");
        }
    }

    #[test]
    fn without_a_setting_there_is_no_receiver() {
        let settings = read("", "").unwrap();
        assert!(settings.receivers.is_empty());
        assert_eq!(settings.timeout, Duration::from_secs(10));
        assert_eq!(settings.give_up_after, Duration::from_hours(72));
    }

    #[test]
    fn only_https_to_public_addresses_is_called() {
        for url in [
            "http://a.cn/",
            "https://10.0.0.1/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "http://1.1.1.1/",
            "ftp://a.cn/",
            "https://u:p@a.cn/",
            "https://a.cn/#x",
            "a.cn",
            "",
        ] {
            assert_eq!(read(&one(url, "null"), "").err().unwrap().len(), 1, "{url}");
        }
    }

    #[test]
    fn a_private_network_opens_itself_alone() {
        for (url, ok) in [
            ("http://10.1.2.3:8080/", true),
            ("https://10.1.2.3/", true),
            ("http://10.2.0.1/", false),
            ("http://a.cn/", false),
            ("http://169.254.169.254/", false),
        ] {
            let read = read(&one(url, "null"), "10.1.0.0/16,169.254.0.0/16");
            assert_eq!(read.is_ok(), ok, "{url}");
        }
        for network in ["nonsense", "0.0.0.0/0", "8.8.8.8/32"] {
            assert!(
                read("", &format!("10.1.0.0/16,{network}")).is_err(),
                "{network}"
            );
        }
    }

    #[test]
    fn errors_name_a_receiver_by_its_place_and_do_not_quote_it() {
        let good =
            r#"{"id":"crm","url":"https://a.cn","secrets":["SECRET"]}"#.replace("SECRET", SECRET);
        for entries in [
            "hunter2".to_owned(),
            r#"{"id":"hunter2"}"#.to_owned(),
            r#"["hunter2"]"#.to_owned(),
            format!("[{}]", good.replace("crm", "hunter2 ")),
            format!("[{}]", good.replace(SECRET, "whsec_hunter2")),
            format!("[{}]", good.replace(&format!("\"{SECRET}\""), "")),
            format!("[{}]", good.replace("\"id\"", "\"hunter2\":1,\"id\"")),
            format!("[{good},{good}]"),
            one("https://a.cn", "[]"),
            one("https://a.cn", r#"["hunter2"]"#),
            one("https://a.cn", r#"["user.Created"]"#),
            one("https://a.cn", r#"["user.creation"]"#),
            one("https://a.cn", r#"["session.revoke"]"#),
            one("https://a.cn", r#"["message.queued"]"#),
            one("https://a.cn", r#"["wechat."]"#),
            one("https://a.cn", r#"["user*"]"#),
        ] {
            let errors = read(&entries, "")
                .err()
                .unwrap_or_else(|| panic!("{entries}"));
            assert_eq!(errors.len(), 1, "{entries} {errors:?}");
            assert!(!errors[0].contains("hunter2"), "{errors:?}");
        }
    }
}
