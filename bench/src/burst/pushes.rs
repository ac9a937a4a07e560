//! Messages as WeChat pushes them, in the plain mode.

use std::fmt::Write;

use e2e::settings::push_configs;
use reqwest::{Client, StatusCode};
use serde_json::json;
use sha1::{Digest, Sha1};
use shared::clock::Clock;

/// Sends pushes to a server.
pub struct Pushes {
    client: Client,
    url: String,
    token: String,
}

impl Pushes {
    /// To the server at this URL.
    pub fn new(base: &str) -> Self {
        e2e::http::install_tls();
        let config = push_configs();
        let plain = config
            .into_iter()
            .find(|config| config.encoding_aes_key.is_none());
        Self {
            client: Client::builder().no_proxy().build().expect("a client"),
            url: format!("{base}/api/v1/wechat/callback"),
            token: plain.expect("a mini-program in the plain mode").token,
        }
    }

    /// Sends a message of somebody of their own, which has to be taken.
    pub async fn send(&self, number: usize) {
        let now = Clock::System.now_seconds();
        let message = json!({
            "ToUserName": "gh_97417a04a28d", "FromUserName": format!("burst-{number}"), "CreateTime": now,
            "MsgType": "text", "Content": "hello", "MsgId": 10_000_000_000_000_000_u64 + number as u64,
        });
        let request = self
            .client
            .post(format!("{}?{}", self.url, self.signed(now, number)))
            .header("content-type", "application/json")
            .body(message.to_string());
        let answer = request.send().await.expect("an answer to a push");
        assert_eq!(answer.status(), StatusCode::OK, "a push was refused");
    }

    /// `hex(sha1(the sorted parts))`, and what it is made of.
    fn signed(&self, timestamp: i64, nonce: usize) -> String {
        let (timestamp, nonce) = (timestamp.to_string(), nonce.to_string());
        let mut parts = [self.token.as_str(), &timestamp, &nonce];
        parts.sort_unstable();
        let mut signature = String::new();
        for byte in Sha1::digest(parts.concat()) {
            write!(signature, "{byte:02x}").expect("a string");
        }
        format!("signature={signature}&timestamp={timestamp}&nonce={nonce}")
    }
}
