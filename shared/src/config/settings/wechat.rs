//! The mini-programs, and how WeChat is called.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::{DataKey, data_keys, milliseconds};
use crate::{config::Env, ids::AppId};

/// `WECHAT_APPIDS`: comma list of the mini-programs served; the first is meant where a client names
/// none.
pub fn app_ids(env: &Env) -> Vec<AppId> {
    const NAME: &str = "WECHAT_APPIDS";
    let ids = env.required_list(
        NAME,
        "the AppIDs of your mini-programs, separated by commas",
    );
    let parse = |(index, text): (usize, &str)| {
        let id = text.parse().ok();
        if id.is_none() {
            env.problem(NAME, format!("entry {} is not an AppID", index + 1));
        }
        id
    };
    ids.into_iter().enumerate().filter_map(parse).collect()
}

/// How WeChat is called.
pub struct WeChatSettings {
    /// `WECHAT_APPIDS` with `WECHAT_SECRETS` (comma list of `appid:secret`): credentials of each
    /// mini-program, the default one first.
    pub apps: Vec<(AppId, SecretString)>,
    /// `WECHAT_BASE_URL`: default `https://api.weixin.qq.com`.
    pub base_url: Url,
    /// `WECHAT_CONNECT_TIMEOUT_MS`: 10 ms to 10 s. Default 1000.
    pub connect_timeout: Duration,
    /// `WECHAT_TIMEOUT_MS`: for a whole call, 50 ms to 20 s. Default 3000.
    pub timeout: Duration,
    /// `WECHAT_MAX_CONCURRENCY`: calls that an instance makes at the same time, 1 to 65535; what
    /// needs one more is answered 503 at once. Default 64. A slow WeChat then holds up so many
    /// requests and no others.
    pub max_concurrency: u32,
    /// `DATA_KEYS`: comma list of `id:key`, the key 32 bytes as base64 or 64 hexadecimal digits.
    /// The first encrypts session keys at rest, all decrypt.
    pub data_keys: Vec<DataKey>,
}

impl WeChatSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            apps: app_secrets(env),
            base_url: base_url(env),
            connect_timeout: milliseconds(env.number(
                "WECHAT_CONNECT_TIMEOUT_MS",
                1000,
                10..=10_000,
            )),
            timeout: milliseconds(env.number("WECHAT_TIMEOUT_MS", 3000, 50..=20_000)),
            max_concurrency: env.number("WECHAT_MAX_CONCURRENCY", 64, 1..=65_535),
            data_keys: data_keys(env),
        }
    }
}

fn base_url(env: &Env) -> Url {
    const NAME: &str = "WECHAT_BASE_URL";
    let text = env.get(NAME).unwrap_or("https://api.weixin.qq.com");
    #[allow(clippy::expect_used, reason = "a literal")]
    let stand_in = || Url::parse("https://api.weixin.qq.com").expect("a URL");
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && !env.is_local() && !is_loopback(&url) => {
            env.problem(NAME, "has to be https: the AppSecret travels there");
            stand_in()
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        _ => {
            env.problem(NAME, "is not an http or https URL");
            stand_in()
        }
    }
}

/// Another process of this machine, such as a simulator in a test.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn app_secrets(env: &Env) -> Vec<(AppId, SecretString)> {
    const NAME: &str = "WECHAT_SECRETS";
    let pairs = env.required_list(
        NAME,
        "appid:secret for each of WECHAT_APPIDS, separated by commas",
    );
    let secrets: Vec<_> = pairs.into_iter().map(|pair| pair.split_once(':')).collect();
    if secrets.iter().any(Option::is_none) {
        env.problem(NAME, "has a part that is not appid:secret");
    }
    let secret_of = |app: &AppId| {
        secrets
            .iter()
            .flatten()
            .find(|(id, _)| *id == app.as_str())
            .map(|(_, secret)| *secret)
    };
    let mut apps = Vec::new();
    for app in app_ids(env) {
        match secret_of(&app) {
            Some(secret) if !secret.is_empty() => apps.push((app, SecretString::from(secret))),
            _ => env.problem(NAME, format!("has no secret for {app}")),
        }
    }
    apps
}
