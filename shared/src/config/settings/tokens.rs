//! Access and refresh tokens.

use std::time::Duration;

use secrecy::SecretString;

use super::{KeyDocument, SessionSettings, app_ids, signing_keys};
use crate::{config::Env, ids::AppId};

/// The default of `JWT_SECRETS` on a developer's machine. It is public, so it is refused on Lambda.
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
    /// `JWT_SECRETS`: comma list, each at least 32 bytes: HS256 for access tokens, and the keys of
    /// refresh tokens. The first signs, all verify, so a new one goes in front and the old one
    /// leaves when its last token has expired. A function that only verifies can do without where
    /// `JWT_KEYS` is set.
    pub secrets: Vec<SecretString>,
    /// `JWT_KEYS`: comma list of `kid:key` or `key`, in front of those of `JWT_SECRETS`; the key a
    /// private one as PKCS#8 or a public one as SPKI, DER in base64: ES256 (P-256), `EdDSA`
    /// (Ed25519), RS256 (2048 bits or more). Of all access token keys the first that can sign does,
    /// all verify; a public one verifies only. Default none.
    pub keys: Vec<KeyDocument>,
    /// `JWT_ISSUER`: the `iss` claim. Default `weapp-serverless`.
    pub issuer: String,
    /// `WECHAT_APPIDS`: tokens for other audiences are refused.
    pub audiences: Vec<AppId>,
    /// [`SessionSettings::access_life`].
    pub access_life: Duration,
}

impl TokenSettings {
    /// Reads the settings; problems are recorded in `env`.
    #[must_use]
    pub fn read(env: &Env) -> Self {
        Self {
            secrets: jwt_secrets(env),
            keys: signing_keys(env),
            issuer: env
                .get("JWT_ISSUER")
                .unwrap_or("weapp-serverless")
                .to_owned(),
            audiences: app_ids(env),
            access_life: SessionSettings::read(env).access_life,
        }
    }

    /// What a function needs that makes tokens, beyond what it takes to verify them.
    pub fn require_to_issue(env: &Env) {
        env.required_list(NAME, WANTED);
    }
}

const NAME: &str = "JWT_SECRETS";
const WANTED: &str = "one or more secrets of at least 32 random bytes, separated by commas";

fn jwt_secrets(env: &Env) -> Vec<SecretString> {
    let secrets = match env.get("JWT_KEYS") {
        Some(_) => env.list(NAME).collect(),
        None => env.required_list(NAME, WANTED),
    };
    for (index, secret) in secrets.iter().copied().enumerate() {
        if secret.len() < 32 {
            env.problem(
                NAME,
                format!("secret {} is shorter than 32 bytes", index + 1),
            );
        } else if is_weak(secret) && !(env.is_local() && secret == LOCAL_JWT_SECRET) {
            env.problem(
                NAME,
                format!("secret {} is a known or guessable one", index + 1),
            );
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
