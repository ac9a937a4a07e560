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
    // Once the key is another one, the old one proves nothing.
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

/// Whose key.
#[derive(Clone, Copy)]
pub struct KeyOwner<'a> {
    /// In which mini-program.
    pub app_id: &'a AppId,
    /// Who.
    pub open_id: &'a OpenId,
    /// 16 bytes as base64.
    pub session_key: &'a SecretString,
}

/// A key that the mini-program gets from `wx.getUserCryptoManager().getLatestUserKey()`, as the
/// server gets it.
#[derive(Debug, Clone)]
pub struct EncryptKey {
    /// 16 bytes as base64, for AES-128-CBC.
    pub key: SecretString,
    /// 16 characters, used as 16 bytes.
    pub iv: String,
    /// Counts up with each new key.
    pub version: u32,
    /// What it has left, at most an hour; nothing for the ones before the newest.
    pub lifetime: Duration,
}

#[derive(Deserialize)]
struct ResetAnswer {
    session_key: SecretString,
}

#[derive(Deserialize)]
struct KeysAnswer {
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
    /// [`WeChatError::SessionKeyStale`] when it does not, and the others.
    pub async fn check_session_key(&self, owner: KeyOwner<'_>) -> Result<(), WeChatError> {
        self.call::<IgnoredAny>(owner.app_id, &CHECK, || self.signed(&CHECK, owner))
            .await
            .map(drop)
    }

    /// resetUserSessionKey: replaces the key; the new one ends when the old one would have.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn reset_session_key(
        &self,
        owner: KeyOwner<'_>,
    ) -> Result<SecretString, WeChatError> {
        let answer: ResetAnswer = self
            .call(owner.app_id, &RESET, || self.signed(&RESET, owner))
            .await?;
        check_form(answer.session_key)
    }

    /// getUserEncryptKey: the user's last three encryption keys, the newest first.
    ///
    /// # Errors
    /// [`WeChatError`].
    pub async fn user_encrypt_keys(
        &self,
        owner: KeyOwner<'_>,
    ) -> Result<Vec<EncryptKey>, WeChatError> {
        let answer: KeysAnswer = self
            .call(owner.app_id, &ENCRYPT_KEYS, || {
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
        answer.key_info_list.into_iter().map(key).collect()
    }

    /// The signature of the empty text, which is what a GET has for a body.
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

/// The key, if it is an AES-128 key as base64 text.
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
