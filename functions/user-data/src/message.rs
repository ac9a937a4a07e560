//! `POST /api/v1/user/message`: opens what the mini-program itself encrypted with a key of
//! `wx.getUserCryptoManager().getLatestUserKey()`.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{
    api::{ApiError, Checks, Input, Json, Reason, Success},
    auth::Claims,
    crypto::EncryptedData,
    edge::AuthenticatedUser,
    instance::Instance,
};

use crate::{encrypt_keys::EncryptKeys, session_key::SessionKeys};

/// A placeholder, for messages that use the key's own IV: 16 zero bytes as base64.
const NO_IV: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawMessage {
    encrypted_data: String,
    version: u32,
    iv: Option<String>,
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
            iv,
        } = message;
        let data = EncryptedData::parse(&encrypted_data, iv.as_deref().unwrap_or(NO_IV));
        let data = data.ok_or(Reason::DecryptFailed)?;
        let key = self
            .0
            .get(caller, version)
            .await?
            .ok_or(Reason::DecryptFailed)?;
        let data = match iv {
            Some(_) => data,
            None => data.with_iv(
                key.iv
                    .as_bytes()
                    .try_into()
                    .map_err(|_| Reason::DecryptFailed)?,
            ),
        };
        data.open(&key.key)
            .map_err(|_| Reason::DecryptFailed.into())
    }
}

pub async fn open(
    caller: AuthenticatedUser,
    State(messages): State<Arc<Messages>>,
    Json(MessageInput(message)): Json<MessageInput>,
) -> Result<Success<Map<String, Value>>, ApiError> {
    Ok(Success(messages.open(&caller.claims, message).await?))
}
