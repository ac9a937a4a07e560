//! Message push: the signature of a request and the encryption of its message.
//!
//! Source: developers.weixin.qq.com, "server-ability/message-push".

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use sha1::{Digest as _, Sha1};

/// Messages are padded to a multiple of this many bytes.
const BLOCK: usize = 32;

/// Signs a request over its time and its random number.
pub(crate) struct PushSigner {
    /// Seconds since 1970.
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
}

impl PushSigner {
    /// The parameters that every request has.
    pub(crate) fn query(&self, token: &str) -> String {
        format!(
            "signature={}&timestamp={}&nonce={}",
            self.sign(token, None),
            self.timestamp,
            self.nonce
        )
    }

    /// `signature`, or `msg_signature` when there is a ciphertext: hex(sha1(the sorted parts)).
    pub(crate) fn sign(&self, token: &str, ciphertext: Option<&str>) -> String {
        let mut parts: Vec<&str> = [token, &self.timestamp, &self.nonce]
            .into_iter()
            .chain(ciphertext)
            .collect();
        parts.sort_unstable();
        hex::encode(Sha1::digest(parts.concat()))
    }
}

/// `Encrypt`, as base64: AES-256-CBC with the first half of the key as IV, over 16 random bytes ‖
/// the message's length ‖ the message ‖ the appid, padded to 32.
///
/// `None` when the message's length does not fit into 32 bits.
pub(crate) fn encrypt(
    key: &[u8; 32],
    app_id: &str,
    message: &str,
    random: [u8; 16],
) -> Option<String> {
    let length = u32::try_from(message.len()).ok()?;
    let mut bytes = Vec::from(random);
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.as_bytes());
    bytes.extend(app_id.as_bytes());
    let padding = BLOCK - bytes.len() % BLOCK;
    bytes.extend(std::iter::repeat_n(u8::try_from(padding).ok()?, padding));
    let mut iv = [0; 16];
    iv.copy_from_slice(&key[..16]);
    let cipher = cbc::Encryptor::<Aes256>::new(key.into(), &iv.into());
    Some(STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&bytes)))
}

/// `EncodingAESKey` is base64 without its final `=`. WeChat accepts any last digit, so the bits that
/// it has too many need not be zero.
pub(crate) fn decode_aes_key(text: &str) -> Option<[u8; 32]> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, config);
    lenient.decode(format!("{text}=")).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn sample(name: &str) -> Value {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/data/vectors.json")).unwrap();
        vectors["message_push"][name].clone()
    }

    fn text(value: &Value, name: &str) -> String {
        value[name].as_str().unwrap().to_owned()
    }

    fn signer(sample: &Value) -> PushSigner {
        PushSigner {
            timestamp: text(sample, "timestamp"),
            nonce: text(sample, "nonce"),
        }
    }

    #[test]
    fn signatures_match_wechats_own_samples() {
        let verification = sample("verification");
        assert_eq!(
            signer(&verification).sign(&text(&verification, "token"), None),
            text(&verification, "signature")
        );
        let secure = sample("secure");
        assert_eq!(
            signer(&secure).sign(&text(&secure, "token"), Some(&text(&secure, "Encrypt"))),
            text(&secure, "msg_signature")
        );
    }

    #[test]
    fn encryption_matches_wechats_own_sample() {
        let sample = sample("secure");
        let key = decode_aes_key(&text(&sample, "EncodingAESKey")).unwrap();
        let random = text(&sample, "random").as_bytes().try_into().unwrap();
        assert_eq!(
            encrypt(&key, &text(&sample, "appid"), &text(&sample, "msg"), random),
            Some(text(&sample, "Encrypt"))
        );
    }

    #[test]
    fn the_last_digit_of_an_aes_key_is_not_restricted() {
        assert!(decode_aes_key("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").is_some());
        assert!(decode_aes_key("abc").is_none());
    }
}
