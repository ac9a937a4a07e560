//! The environment variables of a function under test, with secrets that a search can find again.

use wechat_simulator::PushConfig;

/// The default mini-program.
pub const APP_ID: &str = "wx0123456789abcdef";
/// A second mini-program on the same backend.
pub const OTHER_APP_ID: &str = "wxfedcba9876543210";

const APP_SECRET: &str = "5e1f0a7c93b24d68a1c0e7f2b4d69835";
const OTHER_APP_SECRET: &str = "9c3d7e5b1a8f46029d4b6c8e0f2a7135";
const JWT_SECRET: &str = "kit-jwt-secret-Q7vX2mN9pL4sT8wZ1cR6yB3fH5";
const DATA_KEY: &str = "8f1d3c5b7a9e2046c8eb0a1d3f5c7b9e2d4f60718293a4b5c6d7e8f9012a3b4c";
const PUSH_TOKEN: &str = "kitPushToken7Jq2Vx9Lm4Tn8Rb";
const OTHER_PUSH_TOKEN: &str = "kitPushToken3Zw6Kd1Hs5Gf0Yc";
/// Its last digit encodes more bits than a 256-bit key has.
const PUSH_KEY: &str = "kitEncodingAesKey4Xr8Wt2Bn6Mq0Pz3Lv7Jc1Hs9G";
/// An RSA key, PKCS#8 DER as base64.
pub(crate) const TRANSPORT_KEY: &str = include_str!("../data/transport-key.b64").trim_ascii();
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The session token of the credentials that Lambda gives a function.
pub const AWS_SESSION: &str = "session-token-of-the-test-kit";

/// What the consoles hold for message push: the first mini-program has the secure mode, the other
/// one the plain mode.
pub fn push_configs() -> [PushConfig; 2] {
    let config = |app_id: &str, token: &str, key: Option<&str>| PushConfig {
        app_id: app_id.to_owned(),
        token: token.to_owned(),
        encoding_aes_key: key.map(str::to_owned),
    };
    [
        config(APP_ID, PUSH_TOKEN, Some(PUSH_KEY)),
        config(OTHER_APP_ID, OTHER_PUSH_TOKEN, None),
    ]
}

/// The mini-programs and their secrets, for a WeChat simulator to know.
pub const APPS: [(&str, &str); 2] = [(APP_ID, APP_SECRET), (OTHER_APP_ID, OTHER_APP_SECRET)];

/// Region and credentials, as Lambda sets them, that open nothing.
pub const AWS_ENVIRONMENT: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", AWS_SECRET),
    ("AWS_SESSION_TOKEN", AWS_SESSION),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
];

/// The settings of one run.
#[derive(Debug, Clone)]
pub struct Settings {
    variables: Vec<(String, String)>,
}

impl Settings {
    /// Everything a function needs, with the stores at these addresses.
    pub fn new(dynamodb_url: &str, wechat_url: &str) -> Self {
        Self {
            variables: Vec::new(),
        }
        .with("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url)
        .with("WECHAT_BASE_URL", wechat_url)
        .with("TABLE_NAME", crate::dynamodb::TABLE)
        .with("LOG_LEVEL", "info")
        // Tests send more requests than people do.
        .with("RATE_LIMIT_LOGIN", "1000000/s burst 1000000")
        .with("RATE_LIMIT_USER", "1000000/s burst 1000000")
        .with("RATE_LIMIT_REFRESH", "1000000/s burst 1000000")
        .with("RATE_LIMIT_GUEST", "1000000/s burst 1000000")
        .with("RATE_LIMIT_SEALED", "1000000/s burst 1000000")
        .with("RATE_LIMIT_EXPORT", "1000000/s burst 1000000")
        .with("RATE_LIMIT_AVATAR", "1000000/s burst 1000000")
        .with("RATE_LIMIT_CODES", "1000000/s burst 1000000")
        .with("JWT_SECRETS", JWT_SECRET)
        .with("DATA_KEYS", &format!("k1:{DATA_KEY}"))
        .with("TRANSPORT_KEYS", &format!("t1:{TRANSPORT_KEY}"))
        .with("WECHAT_APPIDS", &format!("{APP_ID},{OTHER_APP_ID}"))
        .with(
            "WECHAT_SECRETS",
            &format!("{APP_ID}:{APP_SECRET},{OTHER_APP_ID}:{OTHER_APP_SECRET}"),
        )
        .with(
            "MESSAGE_PUSH",
            &format!("{APP_ID}:{PUSH_TOKEN}:{PUSH_KEY},{OTHER_APP_ID}:{OTHER_PUSH_TOKEN}"),
        )
    }

    /// Shares state in this Redis instead of in the process.
    #[must_use]
    pub fn redis(self, url: &str) -> Self {
        self.with("REDIS_URL", url)
    }

    /// Sets a variable, in place of the value it had.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// The variables, for
    /// [`FunctionUnderTest::spawn`](crate::runtime_api::FunctionUnderTest::spawn).
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// What must never be in a log, by name.
    pub fn secrets() -> [(&'static str, &'static str); 10] {
        [
            ("the app secret", APP_SECRET),
            ("the other app secret", OTHER_APP_SECRET),
            ("the JWT secret", JWT_SECRET),
            ("the data key", DATA_KEY),
            ("the AWS secret key", AWS_SECRET),
            ("the AWS session token", AWS_SESSION),
            ("the token of message push", PUSH_TOKEN),
            ("the other token of message push", OTHER_PUSH_TOKEN),
            ("the key of message push", PUSH_KEY),
            ("the transport key", TRANSPORT_KEY),
        ]
    }
}
