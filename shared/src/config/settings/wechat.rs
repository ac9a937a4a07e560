//! The mini-programs, and how WeChat is called.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::{
    config::{Env, List, Number, Period, Text},
    ids::AppId,
    settings,
};

settings! {
    /// The settings of the mini-programs and of calls to WeChat.
    pub DOCUMENTED in WeChat;

    pub WECHAT_APPIDS: List = List::required("the AppIDs of your mini-programs, separated by commas"),
        "the mini-programs served; a login that names none is for the first",
        "服务的小程序；登录时未指定 AppID 则使用第一个",
        wanted_zh("AppID，逗号分隔"), example("wx0123456789abcdef,wxfedcba9876543210"), has_local_value();
    pub WECHAT_SECRETS: List = List::required("appid:secret for each of WECHAT_APPIDS, separated by commas"),
        "the AppSecret of each mini-program; when not set, `make run` simulates WeChat",
        "各小程序的 AppSecret。未设置时 `make run` 使用微信模拟器",
        wanted_zh("`appid:secret`，逗号分隔，每个 AppID 一项"),
        example("wx0123456789abcdef:0123456789abcdef0123456789abcdef,wxfedcba9876543210:fedcba9876543210fedcba9876543210"),
        has_local_value();
    pub WECHAT_BASE_URL: Text = Text::new("https://api.weixin.qq.com", "an http or https URL; https unless it is this machine's"),
        "address of WeChat's API",
        "微信接口地址",
        wanted_zh("http 或 https 地址；非本机须为 https"), has_local_value();
    WECHAT_CONNECT_TIMEOUT_MS: Period = Period::milliseconds(1000, 10..=10_000),
        "how long connecting to WeChat may take",
        "连接微信的超时";
    WECHAT_TIMEOUT_MS: Period = Period::milliseconds(3000, 50..=20_000),
        "how long a whole call to WeChat may take",
        "一次微信调用的总超时";
    WECHAT_MAX_CONCURRENCY: Number = Number::new(64, 1..=65_535),
        "calls to WeChat that an instance makes at once; a request that needs one more is answered 503 immediately",
        "一个实例同时进行的微信调用数；超出的请求立即返回 503";
}

/// The mini-programs, the default one first; config errors are recorded in `env`.
pub fn app_ids(env: &Env) -> Vec<AppId> {
    let parse = |(index, text): (usize, &str)| {
        let id = text.parse().ok();
        if id.is_none() {
            WECHAT_APPIDS.add_entry_error(env, index, "is not an AppID");
        }
        id
    };
    let ids = WECHAT_APPIDS.read(env).into_iter().enumerate();
    ids.filter_map(parse).collect()
}

/// How WeChat is called.
pub struct WeChatSettings {
    /// `WECHAT_APPIDS` with `WECHAT_SECRETS`: credentials of each mini-program, the default one
    /// first.
    pub apps: Vec<(AppId, SecretString)>,
    /// `WECHAT_BASE_URL`.
    pub base_url: Url,
    /// `WECHAT_CONNECT_TIMEOUT_MS`.
    pub connect_timeout: Duration,
    /// `WECHAT_TIMEOUT_MS`: for a whole call.
    pub timeout: Duration,
    /// `WECHAT_MAX_CONCURRENCY`: calls that an instance makes at the same time. A slow WeChat then
    /// holds up this many requests and no others.
    pub max_concurrency: u32,
}

impl WeChatSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            apps: app_secrets(env),
            base_url: base_url(env),
            connect_timeout: WECHAT_CONNECT_TIMEOUT_MS.read(env),
            timeout: WECHAT_TIMEOUT_MS.read(env),
            max_concurrency: WECHAT_MAX_CONCURRENCY.read(env),
        }
    }
}

fn base_url(env: &Env) -> Url {
    match Url::parse(WECHAT_BASE_URL.read(env)) {
        Ok(url) if url.scheme() == "http" && !env.is_local() && !is_loopback(&url) => {
            WECHAT_BASE_URL.add_error(env, "has to be https: the AppSecret travels there");
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return url,
        _ => WECHAT_BASE_URL.add_error(env, "is not an http or https URL"),
    }
    #[expect(clippy::expect_used, reason = "a literal")]
    Url::parse(WECHAT_BASE_URL.default()).expect("a URL")
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
    let pairs = WECHAT_SECRETS.read(env).into_iter();
    let secrets: Vec<_> = pairs.map(|pair| pair.split_once(':')).collect();
    if secrets.iter().any(Option::is_none) {
        WECHAT_SECRETS.add_error(env, "has a part that is not appid:secret");
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
            _ => WECHAT_SECRETS.add_error(env, format!("has no secret for {app}")),
        }
    }
    apps
}
