//! Message push as WeChat's console and the callback URL see it: the configuration, the request and
//! the server's response.
//!
//! Source: developers.weixin.qq.com, "server-ability/message-push".

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::control_error::ControlError;
use crate::protocol::push_crypto::decode_aes_key;

/// The message push settings of one mini-program, as its console holds them.
#[derive(Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// The mini-program.
    pub app_id: String,
    /// The token that requests are signed with.
    pub token: String,
    /// 43 letters and digits. `None`: the secure and compatible modes are unavailable.
    pub encoding_aes_key: Option<String>,
}

/// The console's setting for the encryption of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushMode {
    /// 明文模式: in clear.
    Plain,
    /// 兼容模式: in clear and encrypted.
    Compatible,
    /// 安全模式: encrypted.
    Secure,
}

/// A request to the callback URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The URL's query, without the question mark.
    pub query: String,
    /// Empty for a `GET`.
    pub content_type: &'static str,
    /// The message; empty for a `GET`.
    pub body: String,
}

/// The server's response to a [`PushRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushResponse {
    /// HTTP status; 0 when the request was not delivered.
    pub status: u16,
    /// The body: `success` when the server accepted the message.
    pub body: String,
}

/// Delivers a request to the callback URL.
pub type PushTransport = Arc<dyn Fn(PushRequest) -> BoxFuture<'static, PushResponse> + Send + Sync>;

/// Reads a picture that is to be checked; `None` when that fails.
pub type MediaReader = Arc<dyn Fn(String) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync>;

impl PushConfig {
    /// Rejects what the console would reject.
    pub(crate) fn validate(&self) -> Result<(), ControlError> {
        let is_key = |key: &String| key.len() == 43 && decode_aes_key(key).is_some();
        if self.encoding_aes_key.as_ref().is_none_or(is_key) {
            return Ok(());
        }
        Err(ControlError::invalid(
            "encodingAesKey: 43 letters and digits",
        ))
    }
}

impl fmt::Debug for PushConfig {
    /// The app id only: the rest is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConfig")
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}
