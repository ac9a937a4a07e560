//! Access and refresh tokens.

use std::time::Duration;

use secrecy::SecretString;

use super::{JWT_KEYS, KeyDocument, SessionSettings, app_ids, signing_keys};
use crate::{
    config::{Env, List, Text},
    ids::AppId,
    settings,
};

settings! {
    /// The settings of tokens.
    pub DOCUMENTED in Tokens;

    pub JWT_SECRETS: List = List::required("one or more secrets of at least 32 random bytes, separated by commas"),
        "HS256 keys of access tokens, and the keys of refresh tokens: the first signs, all verify. Well-known secrets are rejected. A function that only verifies needs none where `JWT_KEYS` is set. Make one: `openssl rand -base64 48`",
        "access token 的 HS256 密钥，也是 refresh token 的密钥：第一个签发，全部可验证。拒绝公开的弱密钥。设置了 `JWT_KEYS` 时，只做验证的函数不需要它。生成：`openssl rand -base64 48`",
        wanted_zh("一个或多个至少 32 字节的随机密钥，逗号分隔"), has_local_value();
    JWT_ISSUER: Text = Text::new("weapp-serverless", "any text"),
        "the `iss` claim",
        "令牌中的 `iss`",
        wanted_zh("任意文本");
}

/// The default of `JWT_SECRETS` on a developer's machine. It is public, so it is rejected on Lambda.
pub const LOCAL_JWT_SECRET: &str = "local-development-only-do-not-deploy";

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
    /// `JWT_SECRETS`: HS256 for access tokens, and the keys of refresh tokens. The first signs, all
    /// verify, so a new one goes in front and the old one leaves when its last token has expired. A
    /// function that only verifies can do without where `JWT_KEYS` is set.
    pub secrets: Vec<SecretString>,
    /// `JWT_KEYS`, in front of those of `JWT_SECRETS`: ES256 (P-256), `EdDSA` (Ed25519), RS256 (2048
    /// bits or more). Of all access token keys the first that can sign does, all verify; a public
    /// one verifies only.
    pub keys: Vec<KeyDocument>,
    /// `JWT_ISSUER`: the `iss` claim.
    pub issuer: String,
    /// `WECHAT_APPIDS`: tokens for other audiences are rejected.
    pub audiences: Vec<AppId>,
    /// [`SessionSettings::access_life`].
    pub access_life: Duration,
}

impl TokenSettings {
    /// Reads the settings; config errors are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            secrets: jwt_secrets(env),
            keys: signing_keys(env),
            issuer: JWT_ISSUER.read(env).to_owned(),
            audiences: app_ids(env),
            access_life: SessionSettings::read(env).access_life,
        }
    }

    /// Records a config error where a setting is missing that a function needs to issue tokens,
    /// beyond what it takes to verify them.
    pub fn require_to_issue(env: &Env) {
        let _ = JWT_SECRETS.read(env);
    }
}

fn jwt_secrets(env: &Env) -> Vec<SecretString> {
    let secrets: Vec<_> = match JWT_KEYS.get(env) {
        Some(_) => JWT_SECRETS.entries(env).collect(),
        None => JWT_SECRETS.read(env),
    };
    for (secret, position) in secrets.iter().copied().zip(1..) {
        if secret.len() < 32 {
            let what = format!("secret {position} is shorter than 32 bytes");
            JWT_SECRETS.add_error(env, what);
        } else if is_weak(secret) && !(env.is_local() && secret == LOCAL_JWT_SECRET) {
            let what = format!("secret {position} is a known or guessable one");
            JWT_SECRETS.add_error(env, what);
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
