//! WeChat's own samples (`vectors.json`, each with its source), and inputs that must be rejected.

use cbc::cipher::block_padding::Pkcs7;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::settings::push_key;

const TOKEN: &str = "token-of-the-test";
/// Its last digit has bits beyond the 256 of the key.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const STAMP: Stamp<'_> = Stamp {
    timestamp: "1714112445",
    nonce: "415670741",
};

fn vector(name: &str) -> Value {
    let vectors: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    vectors[name].clone()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {vector}"))
}

fn secrets_of(vector: &Value) -> PushSecrets {
    let key = vector["EncodingAESKey"]
        .as_str()
        .map(|key| push_key(key).unwrap());
    PushSecrets::new(text(vector, "token").into(), key)
}

fn stamp_of(vector: &Value) -> Stamp<'_> {
    Stamp {
        timestamp: text(vector, "timestamp"),
        nonce: text(vector, "nonce"),
    }
}

fn secrets() -> PushSecrets {
    PushSecrets::new(TOKEN.into(), push_key(KEY))
}

/// Encrypts and signs any plaintext, valid or not.
fn forged(plaintext: &[u8]) -> (String, String) {
    let (secrets, key) = (secrets(), push_key(KEY).unwrap());
    let key = key.expose_secret();
    let mut bytes = plaintext.to_vec();
    let length = bytes.len();
    let cipher = Encryptor::<Aes256>::new(key.into(), &iv(key).into());
    let encrypt = STANDARD.encode(
        cipher
            .encrypt_padded::<NoPadding>(&mut bytes, length)
            .unwrap(),
    );
    let signature = secrets.sign(&[STAMP.timestamp, STAMP.nonce, &encrypt]);
    (encrypt, signature)
}

fn padded(mut content: Vec<u8>) -> Vec<u8> {
    pad(&mut content);
    content
}

fn opens(plaintext: &[u8]) -> bool {
    let (encrypt, signature) = forged(plaintext);
    secrets().open(STAMP, &signature, &encrypt).is_ok()
}

#[test]
fn the_query_signature_is_verified() {
    for name in ["verification", "plain", "secure"] {
        let vector = vector(name);
        let (secrets, stamp, signature) = (
            secrets_of(&vector),
            stamp_of(&vector),
            text(&vector, "signature"),
        );
        assert!(secrets.verify_signature(stamp, signature), "{name}");
        assert!(
            !secrets.verify_signature(
                Stamp {
                    nonce: "1",
                    ..stamp
                },
                signature
            ),
            "{name}"
        );
        assert!(
            !secrets.verify_signature(
                Stamp {
                    timestamp: "1714036505",
                    ..stamp
                },
                signature
            ),
            "{name}"
        );
        for wrong in [
            "",
            &signature[1..],
            &signature.to_uppercase(),
            &format!("{signature}0"),
        ] {
            assert!(!secrets.verify_signature(stamp, wrong), "{name}: {wrong}");
        }
        let other = PushSecrets::new("AAAAB".into(), None);
        assert!(!other.verify_signature(stamp, signature), "{name}");
    }
}

#[test]
fn messages_in_secure_mode_are_opened() {
    for (name, receiver) in [("secure", "appid"), ("xml", "receive_id")] {
        let vector = vector(name);
        let opened = secrets_of(&vector)
            .open(
                stamp_of(&vector),
                text(&vector, "msg_signature"),
                text(&vector, "Encrypt"),
            )
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.message, text(&vector, "msg"), "{name}");
        assert_eq!(opened.receiver, text(&vector, receiver), "{name}");
    }
}

#[test]
fn a_reply_matches_wechats_sample() {
    let vector = vector("reply");
    let stamp = Stamp {
        timestamp: text(&vector, "TimeStamp"),
        nonce: text(&vector, "Nonce"),
    };
    let random = text(&vector, "random").as_bytes().try_into().unwrap();
    let sealed = secrets_of(&vector)
        .seal(text(&vector, "msg"), text(&vector, "appid"), stamp, random)
        .unwrap();
    assert_eq!(sealed.encrypt, text(&vector, "Encrypt"));
    assert_eq!(sealed.signature, text(&vector, "MsgSignature"));
}

#[test]
fn sixteen_byte_unpadding_rejects_wechats_sample() {
    let vector = vector("secure");
    assert_eq!(vector["pad_byte"], 19);
    let key = push_key(text(&vector, "EncodingAESKey")).unwrap();
    let key = key.expose_secret();
    let mut bytes = STANDARD.decode(text(&vector, "Encrypt")).unwrap();
    let sixteen = Decryptor::<Aes256>::new(key.into(), &iv(key).into());
    assert!(sixteen.decrypt_padded::<Pkcs7>(&mut bytes.clone()).is_err());
    let raw = Decryptor::<Aes256>::new(key.into(), &iv(key).into());
    let raw = raw.decrypt_padded::<NoPadding>(&mut bytes).unwrap();
    assert_eq!(raw.len() - unpad(raw).unwrap().len(), 19);
}

#[test]
fn the_query_signature_does_not_open_a_message() {
    let vector = vector("secure");
    let opened = secrets_of(&vector).open(
        stamp_of(&vector),
        text(&vector, "signature"),
        text(&vector, "Encrypt"),
    );
    assert_eq!(opened.err(), Some(PushError::Signature));
}

#[test]
fn without_a_key_nothing_is_opened_or_sealed() {
    let vector = vector("secure");
    let secrets = PushSecrets::new(text(&vector, "token").into(), None);
    let opened = secrets.open(
        stamp_of(&vector),
        text(&vector, "msg_signature"),
        text(&vector, "Encrypt"),
    );
    assert_eq!(opened.err(), Some(PushError::Ciphertext));
    assert!(secrets.seal("{}", "wx1", STAMP, [0; 16]).is_none());
    assert!(!secrets.encrypts());
}

#[test]
fn a_malformed_plaintext_is_rejected_even_when_signed() {
    let content = [&[7; 16][..], &3_u32.to_be_bytes(), b"abc", b"wx1"].concat();
    assert!(opens(&padded(content.clone())));
    let beyond = [&[7; 16][..], &9_u32.to_be_bytes(), b"abc", b"wx1"].concat();
    let huge = [&[7; 16][..], &u32::MAX.to_be_bytes(), b"abc", b"wx1"].concat();
    let not_text = [&[7; 16][..], &1_u32.to_be_bytes(), b"a", &[0xff]].concat();
    for wrong in [beyond, huge, not_text, vec![7; 19], Vec::new()] {
        assert!(!opens(&padded(wrong.clone())), "{wrong:?}");
    }
    // Padding: missing, zero, too long, inconsistent, only to the AES block size.
    let full = [content.as_slice(), &[0; 6]].concat();
    assert_eq!(full.len(), 32);
    for last in [0, 33, 255] {
        let mut bytes = full.clone();
        bytes[31] = last;
        assert!(!opens(&bytes), "{last}");
    }
    let mut uneven = padded(content.clone());
    let at = uneven.len() - 2;
    uneven[at] ^= 1;
    assert!(!opens(&uneven));
    let sixteen = [
        &[7; 16][..],
        &3_u32.to_be_bytes(),
        b"abc",
        b"wx1",
        &[22; 22],
    ]
    .concat();
    assert!(!opens(&sixteen), "48 bytes");
    assert!(!opens(&[]));
}

#[test]
fn a_signed_message_that_is_not_utf_8_opens() {
    let content = [&[7; 16][..], &3_u32.to_be_bytes(), b"a\xffb", b"wx1"].concat();
    assert!(opens(&padded(content)));
}

#[test]
fn blanks_are_no_part_of_a_ciphertext() {
    let secrets = secrets();
    let sealed = secrets.seal("{}", "wx1", STAMP, [1; 16]).unwrap();
    let (start, end) = sealed.encrypt.split_at(20);
    let spaced = format!("\r\n  {start}\n{end}\t ");
    let as_sent = secrets.sign(&[STAMP.timestamp, STAMP.nonce, &spaced]);
    for signature in [&sealed.signature, &as_sent] {
        let opened = secrets.open(STAMP, signature, &spaced).unwrap();
        assert_eq!(opened.message, "{}");
    }
}

#[test]
fn a_truncated_ciphertext_is_rejected_even_when_signed() {
    let secrets = secrets();
    let sealed = secrets.seal(r#"{"a":1}"#, "wx1", STAMP, [1; 16]).unwrap();
    for cut in [0, 4, 20, sealed.encrypt.len() - 1] {
        let encrypt = &sealed.encrypt[..cut];
        let signature = secrets.sign(&[STAMP.timestamp, STAMP.nonce, encrypt]);
        assert_eq!(
            secrets.open(STAMP, &signature, encrypt).err(),
            Some(PushError::Ciphertext),
            "{cut}"
        );
    }
}

proptest! {
    #[test]
    fn a_sealed_message_opens_unchanged(message in ".{0,200}", app_id in "wx[0-9a-f]{16}", random: [u8; 16]) {
        let sealed = secrets().seal(&message, &app_id, STAMP, random).unwrap();
        let opened = secrets().open(STAMP, &sealed.signature, &sealed.encrypt).unwrap();
        prop_assert_eq!((opened.message, opened.receiver), (message, app_id));
    }

    #[test]
    fn a_modified_ciphertext_is_rejected(message in ".{0,60}", at: prop::sample::Index, other in "[A-Za-z0-9+/=]") {
        let sealed = secrets().seal(&message, "wx1", STAMP, [1; 16]).unwrap();
        let at = at.index(sealed.encrypt.len());
        let mut changed = sealed.encrypt.clone();
        changed.replace_range(at..=at, &other);
        prop_assume!(changed != sealed.encrypt);
        prop_assert!(secrets().open(STAMP, &sealed.signature, &changed).is_err());
    }

    #[test]
    fn no_signed_input_panics(encrypt in "[A-Za-z0-9+/]{0,200}={0,2}", plaintext: Vec<u8>) {
        let signature = secrets().sign(&[STAMP.timestamp, STAMP.nonce, &encrypt]);
        let _ = secrets().open(STAMP, &signature, &encrypt);
        let _ = opens(&plaintext[..plaintext.len() / 16 * 16]);
    }
}
