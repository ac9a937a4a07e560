use aes::{Aes128, Aes256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Sha256, Sha512};

use super::*;
use crate::crypto::jwe::Enc;

/// The examples of RFC 7516 (appendices A and B), RFC 7518 (appendix B) and RFC 7520 (§5) whose
/// content encryption is one that we accept, or `A128CBC-HS256`, the smaller variant of one.
#[test]
fn the_examples_of_the_rfcs_seal_and_open() {
    let examples: Value = serde_json::from_str(include_str!("../data/rfc.json")).unwrap();
    let examples = examples["contents"].as_array().unwrap();
    assert_eq!(examples.len(), 7);
    for example in examples {
        let text = |name: &str| example[name].as_str().unwrap();
        let [key, iv, ciphertext, tag] = ["key", "iv", "ciphertext", "tag"]
            .map(|name| URL_SAFE_NO_PAD.decode(text(name)).unwrap());
        let (aad, plaintext) = (text("aad").as_bytes(), text("plaintext").as_bytes());
        let open = |tag: &[u8]| {
            let sealed = (&*ciphertext, tag);
            match text("enc") {
                "A128CBC-HS256" => open::<Aes128, Sha256>(&key, &iv, aad, sealed),
                "A256CBC-HS512" => Enc::A256CbcHs512.open(&key, &iv, aad, sealed),
                "A256GCM" => Enc::A256Gcm.open(&key, &iv, aad, sealed),
                enc => panic!("{enc}"),
            }
        };
        let sealed = match text("enc") {
            "A128CBC-HS256" => seal::<Aes128, Sha256>(&key, &iv, aad, plaintext),
            "A256CBC-HS512" => Enc::A256CbcHs512.seal(&key, &iv, aad, plaintext),
            _ => Enc::A256Gcm.seal(&key, &iv, aad, plaintext),
        };
        assert_eq!(open(&tag).unwrap(), plaintext, "{}", text("name"));
        assert_eq!(
            sealed,
            Some((ciphertext.clone(), tag.clone())),
            "{}",
            text("name")
        );
        for bit in 0..tag.len() * 8 {
            let mut changed = tag.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&changed), Err(JweError), "{} bit {bit}", text("name"));
        }
        assert_eq!(
            open(&tag[..tag.len() - 1]),
            Err(JweError),
            "{}",
            text("name")
        );
        assert_eq!(open(b""), Err(JweError), "{}", text("name"));
    }
}

#[test]
fn keys_of_the_wrong_length_are_rejected() {
    for len in [0, 1, 32, 63, 65, 128] {
        let key = vec![7; len];
        assert_eq!(
            seal::<Aes256, Sha512>(&key, &[0; 16], b"", b"text"),
            None,
            "{len}"
        );
        let sealed: (&[u8], &[u8]) = (&[0; 16], &vec![0; len / 2]);
        assert_eq!(
            open::<Aes256, Sha512>(&key, &[0; 16], b"", sealed),
            Err(JweError),
            "{len}"
        );
    }
}
