//! The calls that prove possession of a `session_key`: checkSessionKey, resetUserSessionKey,
//! getUserEncryptKey.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/checkSessionKey.html,
//! …/user-login/ResetUserSessionKey.html, …/user-info/internet/getUserEncryptKey.html

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::IgnoredAny};

use super::{AuthorizedWeChat, WeChatError, client::Api, errcode};
use crate::{
    crypto::session_signature,
    ids::{AppId, OpenId},
};

const CHECK: Api = Api {
    name: "checkSessionKey",
    method: Method::GET,
    path: "/wxa/checksession",
    idempotent: true,
    refusal: errcode::session_key,
};

const RESET: Api = Api {
    name: "resetUserSessionKey",
    method: Method::GET,
    path: "/wxa/resetusersessionkey",
    // After a reset the old key no longer signs, so a repeated call would fail.
    idempotent: false,
    refusal: errcode::session_key,
};

const ENCRYPT_KEYS: Api = Api {
    name: "getUserEncryptKey",
    method: Method::GET,
    path: "/wxa/business/getuserencryptkey",
    idempotent: true,
    refusal: errcode::session_key,
};

/// A user and the current key.
#[derive(Clone, Copy)]
pub struct KeyOwner<'a> {
    /// The mini-program.
    pub app_id: &'a AppId,
    /// The user in it.
    pub open_id: &'a OpenId,
    /// 16 bytes as base64.
    pub session_key: &'a SecretString,
}

impl<'a> KeyOwner<'a> {
    fn account(self) -> (&'a AppId, &'a OpenId) {
        (self.app_id, self.open_id)
    }
}

/// A key that the server shares with the mini-program, which gets it from
/// `wx.getUserCryptoManager().getLatestUserKey()`.
#[derive(Debug, Clone)]
pub struct EncryptKey {
    /// 16 bytes as base64, for AES-128-CBC.
    pub key: SecretString,
    /// 16 characters, used as 16 bytes.
    pub iv: String,
    /// Increases with each new key.
    pub version: u32,
    /// Its remaining lifetime, at most an hour; zero for all but the newest key.
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct ResetKeyResponse {
    session_key: SecretString,
}

#[derive(Deserialize)]
struct EncryptKeysResponse {
    key_info_list: Vec<KeyInfo>,
}

#[derive(Deserialize)]
struct KeyInfo {
    encrypt_key: SecretString,
    iv: String,
    version: u32,
    expire_in: i64,
}

impl AuthorizedWeChat {
    /// checkSessionKey: whether WeChat still considers this key the user's.
    ///
    /// # Errors
    /// [`WeChatError::SessionKeyStale`] when it does not; the others when the call fails.
    pub async fn check_session_key(&self, owner: KeyOwner<'_>) -> Result<(), WeChatError> {
        self.call::<IgnoredAny>(owner.account(), &CHECK, || self.signed(&CHECK, owner))
            .await
            .map(drop)
    }

    /// resetUserSessionKey: replaces the key; the new one expires when the old one would have.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn reset_session_key(
        &self,
        owner: KeyOwner<'_>,
    ) -> Result<SecretString, WeChatError> {
        let response: ResetKeyResponse = self
            .call(owner.account(), &RESET, || self.signed(&RESET, owner))
            .await?;
        check_form(response.session_key)
    }

    /// getUserEncryptKey: the user's last three encryption keys, the newest first.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn user_encrypt_keys(
        &self,
        owner: KeyOwner<'_>,
    ) -> Result<Vec<EncryptKey>, WeChatError> {
        let response: EncryptKeysResponse = self
            .call(owner.account(), &ENCRYPT_KEYS, || {
                self.signed(&ENCRYPT_KEYS, owner)
            })
            .await?;
        let key = |info: KeyInfo| {
            let lifetime = Duration::from_secs(info.expire_in.try_into().unwrap_or_default());
            Ok(EncryptKey {
                key: check_form(info.encrypt_key)?,
                iv: info.iv,
                version: info.version,
                lifetime,
            })
        };
        response.key_info_list.into_iter().map(key).collect()
    }

    /// Signs the empty text: a GET has no body.
    fn signed(&self, api: &Api, owner: KeyOwner<'_>) -> RequestBuilder {
        let signature = session_signature(owner.session_key, b"");
        let query = [
            ("openid", owner.open_id.as_str()),
            ("signature", signature.as_str()),
            ("sig_method", "hmac_sha256"),
        ];
        self.wechat.request(api).query(&query)
    }
}

/// Checks that a key is 16 bytes (AES-128) as base64.
pub(super) fn check_form(key: SecretString) -> Result<SecretString, WeChatError> {
    if STANDARD
        .decode(key.expose_secret())
        .is_ok_and(|key| key.len() == 16)
    {
        return Ok(key);
    }
    Err(WeChatError::Unreadable(
        "a key is not 16 bytes as base64".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_key_is_sixteen_bytes() {
        assert!(check_form("tiihtNczf5v6AKRyjwEUhQ==".into()).is_ok());
        for bad in [
            "",
            "tiihtNczf5v6AKRyjwEU",
            "not base64",
            "tiihtNczf5v6AKRyjwEUhQ==tiih",
        ] {
            assert!(check_form(bad.into()).is_err(), "{bad}");
        }
    }
}
