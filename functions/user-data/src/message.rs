//! `POST /api/v1/user/message`: opens what the mini-program itself encrypted with a key of
//! `wx.getUserCryptoManager().getLatestUserKey()`.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{
    api::{ApiError, Checks, Input, Json, Optional, Reason, Success},
    auth::Claims,
    crypto::{DataError, EncryptedData, MalformedData},
    edge::AuthenticatedUser,
    instance::Instance,
    wechat::EncryptKey,
};
use thiserror::Error;

use crate::{encrypt_keys::EncryptKeys, session_key::SessionKeys};

/// A placeholder, for messages that use the key's own IV: 16 zero bytes as base64.
const NO_IV: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// A message that the page encrypted.
#[derive(Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "MessageBody")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawMessage {
    /// Base64.
    encrypted_data: String,
    /// That of the key.
    version: u32,
    /// Base64 of 16 bytes; the key's own is the default.
    #[serde(default)]
    iv: Optional<String>,
}

/// A message, the version of its key, and its IV as base64 unless it is the key's own.
pub struct MessageInput(RawMessage);

impl Input for MessageInput {
    type Raw = RawMessage;

    fn parse(raw: RawMessage, _: &mut Checks) -> Option<Self> {
        Some(Self(raw))
    }
}

/// Opens messages.
pub struct Messages(EncryptKeys);

impl Messages {
    pub fn new(instance: &Instance, keys: SessionKeys) -> Self {
        Self(EncryptKeys::new(instance, keys))
    }

    /// Every defect of a message gets the same error: its form, the version of its key, its padding
    /// and its text.
    async fn open(
        &self,
        caller: &Claims,
        message: RawMessage,
    ) -> Result<Map<String, Value>, ApiError> {
        let RawMessage {
            encrypted_data,
            version,
            iv: Optional(iv),
        } = message;
        let data = EncryptedData::parse(&encrypted_data, iv.as_deref().unwrap_or(NO_IV));
        let data = data.map_err(MessageError::Malformed)?;
        let key = self.0.get(caller, version).await?;
        let key = key.ok_or(MessageError::Version)?;
        let data = match iv {
            Some(_) => data,
            None => data.with_iv(own_iv(&key)?),
        };
        Ok(data.open(&key.key).map_err(MessageError::Data)?)
    }
}

fn own_iv(key: &EncryptKey) -> Result<[u8; 16], MessageError> {
    let iv = key.iv.as_bytes().try_into();
    iv.map_err(|_| MessageError::Malformed(MalformedData::IvLength))
}

/// Why a message is not accepted. For the log only: the client sees one reason.
#[derive(Debug, Error)]
enum MessageError {
    #[error(transparent)]
    Malformed(MalformedData),
    #[error("version: not one of the user's last three keys")]
    Version,
    #[error("key of that version: {0}")]
    Data(DataError),
}

impl From<MessageError> for ApiError {
    fn from(error: MessageError) -> Self {
        Self::new(Reason::DecryptFailed).because(&error)
    }
}

pub async fn open(
    caller: AuthenticatedUser,
    State(messages): State<Arc<Messages>>,
    Json(MessageInput(message)): Json<MessageInput>,
) -> Result<Success<Map<String, Value>>, ApiError> {
    Ok(Success(messages.open(&caller.claims, message).await?))
}
