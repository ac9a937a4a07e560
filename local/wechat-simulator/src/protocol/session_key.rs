//! The `session_key`: encrypts and signs as WeChat does.
//!
//! Source: developers.weixin.qq.com, "open-ability/signature" and "http-signature".

use std::fmt;

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// 16 bytes shared by WeChat, the phone and the server. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey([u8; 16]);

impl SessionKey {
    pub(crate) const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The base64 text: code2Session returns it, and signatures use it as their key.
    pub(crate) fn text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// `encryptedData`: AES-128-CBC, PKCS#7 to 16, as base64.
    pub(crate) fn encrypt(&self, iv: [u8; 16], plaintext: &[u8]) -> String {
        let cipher = cbc::Encryptor::<Aes128>::new(&self.0.into(), &iv.into());
        STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(plaintext))
    }

    /// `signature` of `rawData`: hex(sha1(rawData ‖ key as text)).
    pub(crate) fn sign_raw_data(&self, raw_data: &str) -> String {
        hex::encode(
            Sha1::new()
                .chain_update(raw_data)
                .chain_update(self.text())
                .finalize(),
        )
    }

    /// The session signature: hex(HMAC-SHA256(key = key as *text*, message)).
    pub(crate) fn sign_message(&self, message: &[u8]) -> String {
        let text = self.text();
        // HMAC accepts keys of any length, so this never fails.
        let mac = Hmac::<Sha256>::new_from_slice(text.as_bytes());
        mac.map(|mac| hex::encode(mac.chain_update(message).finalize().into_bytes()))
            .unwrap_or_default()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/data/vectors.json")).unwrap()
    }

    fn bytes(text: &Value) -> [u8; 16] {
        STANDARD
            .decode(text.as_str().unwrap())
            .unwrap()
            .try_into()
            .unwrap()
    }

    #[test]
    fn encryption_matches_wechats_own_sample() {
        let sample = &vectors()["encrypted_data"];
        let key = SessionKey::new(bytes(&sample["session_key"]));
        let plaintext = sample["plaintext"].as_str().unwrap();
        let encrypted = key.encrypt(bytes(&sample["iv"]), plaintext.as_bytes());
        assert_eq!(encrypted, sample["encryptedData"].as_str().unwrap());
    }

    #[test]
    fn the_raw_data_signature_uses_the_base64_text_of_the_key() {
        let sample = &vectors()["raw_data_signature"];
        let key = SessionKey::new(bytes(&sample["session_key"]));
        let signature = key.sign_raw_data(sample["rawData"].as_str().unwrap());
        assert_eq!(signature, sample["signature"].as_str().unwrap());
    }

    #[test]
    fn the_message_signature_uses_the_base64_text_of_the_key() {
        let sample = &vectors()["session_signature_hmac"];
        let key = SessionKey::new(bytes(&sample["session_key"]));
        let signature = key.sign_message(sample["body"].as_str().unwrap().as_bytes());
        assert_eq!(signature, sample["signature"].as_str().unwrap());
        assert_ne!(
            signature,
            sample["negative_if_key_base64_decoded"].as_str().unwrap()
        );
        let empty = key.sign_message(b"");
        assert_eq!(
            empty,
            sample["derived_empty_body_signature"].as_str().unwrap()
        );
    }

    #[test]
    fn debug_output_hides_the_session_key() {
        let key = SessionKey::new([7; 16]);
        assert_eq!(format!("{key:?}"), "SessionKey(redacted)");
    }
}
