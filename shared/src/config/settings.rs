//! The settings, each documented beside its variable.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use url::Url;

use super::Env;
use crate::ids::AppId;

/// The default of `JWT_SECRETS` on a developer's machine. It is public, so it is refused on Lambda.
pub const LOCAL_JWT_SECRET: &str = "local-development-only-do-not-deploy";
/// The default of `DATA_KEYS` on a developer's machine. It is public, so it is refused on Lambda.
pub const LOCAL_DATA_KEYS: &str = "local:bG9jYWwtZGV2ZWxvcG1lbnQtb25seS1kYXRhLWtleSE=";

/// Secrets that stand in tutorials and get deployed.
const WEAK_SECRETS: [&str; 5] = [
    LOCAL_JWT_SECRET,
    "your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "your-secret-key-change-in-production",
    "qwertyuiopasdfghjklzxcvbnm123456",
];

/// How tokens are made and checked.
pub struct TokenSettings {
    /// `JWT_SECRETS`: comma list, each at least 32 bytes. The first signs, all verify, so a new one goes in front
    /// and the old one leaves when its last token has expired.
    pub secrets: Vec<SecretString>,
    /// `JWT_ISSUER`: the `iss` claim. Default `weapp-serverless`.
    pub issuer: String,
    /// `WECHAT_APPIDS`: tokens for other audiences are refused.
    pub audiences: Vec<AppId>,
    /// `ACCESS_TOKEN_SECONDS`: life of an access token, 10 min to 1 day. Default 7200 (2 h). A repeated login or refresh
    /// gets the first one's token again for up to 5 min, so it must live longer than that.
    pub access_life: Duration,
    /// `REFRESH_TOKEN_SECONDS`: a session ends when it is not refreshed for this long, 1 h to 1 year.
    /// Default 2592000 (30 d).
    pub refresh_life: Duration,
    /// `REFRESH_GRACE_SECONDS`: how long the refresh token one step behind still gets its successor, 0 s to 5 min.
    /// Default 60. With 0 nobody gets a second chance, not even after an answer that we lost ourselves.
    pub refresh_grace: Duration,
}

impl TokenSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            secrets: jwt_secrets(env),
            issuer: env.get("JWT_ISSUER").unwrap_or("weapp-serverless").to_owned(),
            audiences: app_ids(env),
            access_life: seconds(env.number("ACCESS_TOKEN_SECONDS", 7200, 600..=86_400)),
            refresh_life: seconds(env.number("REFRESH_TOKEN_SECONDS", 2_592_000, 3600..=31_536_000)),
            refresh_grace: seconds(env.number("REFRESH_GRACE_SECONDS", 60, 0..=300)),
        }
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

fn jwt_secrets(env: &Env) -> Vec<SecretString> {
    const NAME: &str = "JWT_SECRETS";
    let secrets = env.required_list(NAME, "one or more secrets of at least 32 random bytes, separated by commas");
    for (index, secret) in secrets.iter().copied().enumerate() {
        if secret.len() < 32 {
            env.problem(NAME, format!("secret {} is shorter than 32 bytes", index + 1));
        } else if is_weak(secret) && !(env.is_local() && secret == LOCAL_JWT_SECRET) {
            env.problem(NAME, format!("secret {} is a known or guessable one", index + 1));
        }
    }
    secrets.into_iter().map(SecretString::from).collect()
}

fn is_weak(secret: &str) -> bool {
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 8 || WEAK_SECRETS.contains(&secret)
}

/// `WECHAT_APPIDS`: comma list of the mini-programs served; the first is meant where a client names none.
pub fn app_ids(env: &Env) -> Vec<AppId> {
    const NAME: &str = "WECHAT_APPIDS";
    let ids = env.required_list(NAME, "the AppIDs of your mini-programs, separated by commas");
    let parse = |(index, text): (usize, &str)| {
        let id = text.parse().ok();
        if id.is_none() {
            env.problem(NAME, format!("entry {} is not an AppID", index + 1));
        }
        id
    };
    ids.into_iter().enumerate().filter_map(parse).collect()
}

/// A key that encrypts data at rest.
pub struct DataKey {
    /// Written beside what it encrypted, so that keys can change.
    pub id: String,
    /// AES-256.
    pub key: SecretBox<[u8; 32]>,
}

/// How WeChat is called.
pub struct WeChatSettings {
    /// `WECHAT_APPIDS` with `WECHAT_SECRETS` (comma list of `appid:secret`): credentials of each mini-program,
    /// the default one first.
    pub apps: Vec<(AppId, SecretString)>,
    /// `WECHAT_BASE_URL`: default `https://api.weixin.qq.com`.
    pub base_url: Url,
    /// `WECHAT_CONNECT_TIMEOUT_MS`: 10 ms to 10 s. Default 1000.
    pub connect_timeout: Duration,
    /// `WECHAT_TIMEOUT_MS`: for a whole call, 50 ms to 20 s. Default 3000.
    pub timeout: Duration,
    /// `DATA_KEYS`: comma list of `id:key`, the key 32 bytes as base64 or 64 hexadecimal digits. The first encrypts
    /// session keys at rest, all decrypt.
    pub data_keys: Vec<DataKey>,
}

impl WeChatSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            apps: app_secrets(env),
            base_url: base_url(env),
            connect_timeout: milliseconds(env.number("WECHAT_CONNECT_TIMEOUT_MS", 1000, 10..=10_000)),
            timeout: milliseconds(env.number("WECHAT_TIMEOUT_MS", 3000, 50..=20_000)),
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
    let pairs = env.required_list(NAME, "appid:secret for each of WECHAT_APPIDS, separated by commas");
    let secrets: Vec<_> = pairs.into_iter().map(|pair| pair.split_once(':')).collect();
    if secrets.iter().any(Option::is_none) {
        env.problem(NAME, "has a part that is not appid:secret");
    }
    let secret_of =
        |app: &AppId| secrets.iter().flatten().find(|(id, _)| *id == app.as_str()).map(|(_, secret)| *secret);
    let mut apps = Vec::new();
    for app in app_ids(env) {
        match secret_of(&app) {
            Some(secret) if !secret.is_empty() => apps.push((app, SecretString::from(secret))),
            _ => env.problem(NAME, format!("has no secret for {app}")),
        }
    }
    apps
}

fn data_keys(env: &Env) -> Vec<DataKey> {
    const NAME: &str = "DATA_KEYS";
    let parts = env.required_list(NAME, "id:key, the key 32 bytes as base64 or 64 hexadecimal digits");
    let mut keys = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part.split_once(':').and_then(|(id, key)| Some(DataKey { id: id.to_owned(), key: key_bytes(key)? })) {
            Some(key) if is_local_data_key(&key) && !env.is_local() => {
                env.problem(NAME, format!("key {} is the public one of local development", index + 1));
            }
            Some(key) if !key.id.is_empty() && !key.id.contains('.') => keys.push(key),
            _ => env.problem(NAME, format!("key {} is not id:key with 32 bytes as base64 or 64 hex digits", index + 1)),
        }
    }
    keys
}

/// By its bytes: under another id it would be as public.
fn is_local_data_key(key: &DataKey) -> bool {
    let local = LOCAL_DATA_KEYS.split_once(':').and_then(|(_, key)| key_bytes(key));
    local.is_some_and(|local| local.expose_secret() == key.key.expose_secret())
}

fn key_bytes(text: &str) -> Option<SecretBox<[u8; 32]>> {
    let bytes = if text.len() == 64 { hex::decode(text).ok()? } else { STANDARD.decode(text).ok()? };
    let key: [u8; 32] = bytes.try_into().ok()?;
    // A key of one repeated byte is a placeholder, not a key.
    (key != [key[0]; 32]).then(|| SecretBox::new(Box::new(key)))
}

/// Where DynamoDB is. Region and credentials come from the variables that Lambda sets.
pub struct DynamoSettings {
    /// `TABLE_NAME`: default `weapp`.
    pub table: String,
    /// `AWS_REGION`: set by Lambda.
    pub region: String,
    /// `AWS_ENDPOINT_URL_DYNAMODB`: another DynamoDB than the region's, for local use and tests.
    pub endpoint: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`: set by Lambda.
    pub credentials: (String, SecretString, Option<SecretString>),
}

impl DynamoSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let wanted = "set by Lambda, by hand elsewhere";
        let secret = |text: &str| SecretString::from(text);
        Self {
            table: env.get("TABLE_NAME").unwrap_or("weapp").to_owned(),
            region: env.required("AWS_REGION", wanted).to_owned(),
            endpoint: env.get("AWS_ENDPOINT_URL_DYNAMODB").map(str::to_owned),
            credentials: (
                env.required("AWS_ACCESS_KEY_ID", wanted).to_owned(),
                secret(env.required("AWS_SECRET_ACCESS_KEY", wanted)),
                env.get("AWS_SESSION_TOKEN").map(secret),
            ),
        }
    }
}

/// Where the state that instances share is.
pub struct SharedStateSettings {
    /// `REDIS_URL`: `redis://` or `rediss://` with user and password where needed. Not set: nothing is cached between
    /// requests (DynamoDB is asked each time), and a login is idempotent within one instance only.
    pub redis_url: Option<SecretString>,
    /// `REDIS_TIMEOUT_MS`: what one question to Redis may take before the request goes on without it, 5 ms to 5 s.
    /// Default 50.
    pub redis_timeout: Duration,
}

impl SharedStateSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let redis_url = env.get("REDIS_URL").map(SecretString::from);
        if let Some(url) = &redis_url
            && redis::IntoConnectionInfo::into_connection_info(url.expose_secret()).is_err()
        {
            env.problem("REDIS_URL", "is not a redis:// or rediss:// URL");
        }
        Self { redis_url, redis_timeout: milliseconds(env.number("REDIS_TIMEOUT_MS", 50, 5..=5000)) }
    }
}

/// How long shared state vouches for what DynamoDB said.
pub struct CacheSettings {
    /// `SESSION_CACHE_SECONDS`: for a session, 1 s to 1 h. Default 300. It bounds how long a session can outlive its
    /// logout when Redis was out of reach at that moment.
    pub session: Duration,
    /// `PROFILE_CACHE_SECONDS`: for a profile, 1 s to 1 day. Default 600.
    pub profile: Duration,
}

impl CacheSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            session: seconds(env.number("SESSION_CACHE_SECONDS", 300, 1..=3600)),
            profile: seconds(env.number("PROFILE_CACHE_SECONDS", 600, 1..=86_400)),
        }
    }
}

/// What every request passes.
pub struct EdgeSettings {
    /// `REQUEST_TIMEOUT_MS`: a request that takes longer is answered 504, 100 ms to 29 s. Default 8000.
    pub timeout: Duration,
    /// `CORS_ORIGINS`: comma list of origins that browsers may call from, or `*`. Mini-programs need none. Default none.
    pub cors_origins: Vec<HeaderValue>,
}

impl EdgeSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        let origin = |(index, text): (usize, &str)| {
            let value = HeaderValue::from_str(text).ok();
            if value.is_none() || !(text == "*" || text.contains("://")) {
                let what = format!("entry {} is not an origin such as https://example.com", index + 1);
                env.problem("CORS_ORIGINS", what);
            }
            value
        };
        Self {
            timeout: milliseconds(env.number("REQUEST_TIMEOUT_MS", 8000, 100..=29_000)),
            cors_origins: env.list("CORS_ORIGINS").enumerate().filter_map(origin).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
