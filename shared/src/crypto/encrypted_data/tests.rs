use aes::Aes128;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Samples that WeChat has published, and one signature (of an empty message) by its rule.
fn sample(of: &str) -> Value {
    let samples: Value = serde_json::from_str(include_str!("../testdata/wechat.json")).unwrap();
    samples[of].clone()
}

fn text(sample: &Value, field: &str) -> String {
    sample[field].as_str().unwrap().to_owned()
}

fn key(sample: &Value) -> SecretString {
    text(sample, "sessionKey").into()
}

fn encrypt(key: [u8; 16], iv: [u8; 16], plain: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; plain.len() + 16];
    let sealed = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into());
    sealed
        .encrypt_padded_b2b::<Pkcs7>(plain, &mut buffer)
        .unwrap()
        .to_vec()
}

fn data(ciphertext: &[u8], iv: [u8; 16]) -> EncryptedData {
    EncryptedData::parse(&STANDARD.encode(ciphertext), &STANDARD.encode(iv)).unwrap()
}

#[test]
fn wechats_own_sample_opens() {
    let sample = sample("encryptedData");
    let data = EncryptedData::parse(&text(&sample, "encryptedData"), &text(&sample, "iv")).unwrap();
    let expected: Value = serde_json::from_str(&text(&sample, "plaintext")).unwrap();
    assert_eq!(Value::Object(data.open(&key(&sample)).unwrap()), expected);
}

#[test]
fn another_key_does_not_open_the_sample() {
    let sample = sample("encryptedData");
    let data = EncryptedData::parse(&text(&sample, "encryptedData"), &text(&sample, "iv")).unwrap();
    for other in [
        "HyVFkGl5F5OQWJZZaNzBBg==",
        "tiihtNczf5v6AKRyjwEUhA==",
        "",
        "tiihtNczf5v6AKRyjwEU",
        "not base64",
    ] {
        assert_eq!(
            data.open(&other.into()).unwrap_err(),
            DataError::WrongKey,
            "{other}"
        );
    }
}

#[test]
fn encoding_and_length_are_checked_before_decryption() {
    let (block, iv) = (STANDARD.encode([0; 16]), STANDARD.encode([1; 16]));
    assert!(EncryptedData::parse(&block, &iv).is_ok());
    let plus = STANDARD.encode([0xfb; 32]);
    assert!(plus.contains('+') && EncryptedData::parse(&plus, &iv).is_ok());
    // Form decoding turns a plus sign into a space.
    assert!(EncryptedData::parse(&plus.replace('+', " "), &iv).is_err());
    for bad in [
        "",
        "AA==",
        &STANDARD.encode([0; 15]),
        &STANDARD.encode([0; 17]),
        &block[..22],
        "!!!!",
        &format!("{block}\n"),
    ] {
        assert!(EncryptedData::parse(bad, &iv).is_err(), "{bad}");
        assert!(EncryptedData::parse(&block, bad).is_err(), "{bad}");
    }
    assert!(EncryptedData::parse(&block, &STANDARD.encode([0; 32])).is_err());
}

#[test]
fn the_plaintext_has_to_be_a_json_object() {
    let open = |plain: &[u8]| {
        data(&encrypt([7; 16], [1; 16], plain), [1; 16]).open(&STANDARD.encode([7; 16]).into())
    };
    assert_eq!(
        open(br#"{"new":[1,{"deep":null}]}"#).unwrap(),
        *json!({"new": [1, {"deep": null}]}).as_object().unwrap()
    );
    for bad in [&b""[..], b"[]", b"1", b"{", b"{}x", b"\xff{}", b"null"] {
        assert_eq!(open(bad).unwrap_err(), DataError::WrongKey, "{bad:?}");
    }
}

#[test]
fn a_raw_data_signature_covers_exactly_the_text_received() {
    let sample = sample("rawData");
    let (raw, signature) = (text(&sample, "rawData"), text(&sample, "signature"));
    assert!(is_raw_data_signature(&raw, &key(&sample), &signature));
    let again = serde_json::from_str::<Value>(&raw).unwrap().to_string();
    assert_ne!(
        again, raw,
        "serialized again, the members are in another order"
    );
    assert!(!is_raw_data_signature(&again, &key(&sample), &signature));
    assert!(!is_raw_data_signature(
        &raw,
        &"tiihtNczf5v6AKRyjwEUhQ==".into(),
        &signature
    ));
    for bad in [
        "",
        "75e81c",
        &signature[..38],
        &format!("{signature}00"),
        &signature.replace('7', "g"),
    ] {
        assert!(!is_raw_data_signature(&raw, &key(&sample), bad), "{bad}");
    }
}

#[test]
fn a_session_signature_uses_the_keys_base64_text() {
    let sample = sample("sessionSignature");
    let message = text(&sample, "message");
    assert_eq!(
        session_signature(&key(&sample), message.as_bytes()),
        text(&sample, "signature")
    );
    assert_eq!(
        session_signature(&key(&sample), b""),
        text(&sample, "signatureOfNothing")
    );
    let decoded = STANDARD.decode(text(&sample, "sessionKey")).unwrap();
    let mistake = hex::encode(
        hmac_sha256(&decoded)
            .chain_update(message)
            .finalize()
            .into_bytes(),
    );
    assert_eq!(mistake, text(&sample, "signatureIfTheKeyIsDecoded"));
    assert_ne!(mistake, text(&sample, "signature"));
}

/// CBC does not authenticate, but a changed block decrypts to noise, which is hardly ever UTF-8. (A
/// changed IV changes the first block at will; WeChat's format allows that, which is why the
/// watermark and `rawData` are checked as well.)
#[test]
fn a_ciphertext_with_one_changed_bit_never_opens() {
    let sample = sample("encryptedData");
    let ciphertext = STANDARD.decode(text(&sample, "encryptedData")).unwrap();
    let iv: [u8; 16] = STANDARD
        .decode(text(&sample, "iv"))
        .unwrap()
        .try_into()
        .unwrap();
    for bit in 0..ciphertext.len() * 8 {
        let mut changed = ciphertext.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(data(&changed, iv).open(&key(&sample)).is_err(), "bit {bit}");
    }
}

/// An object with a watermark, whose name is `name`.
fn named(name: &[u8]) -> Vec<u8> {
    let (start, end) = (
        &br#"{"openId":"o","nickName":""#[..],
        &br#"","watermark":{"appid":"wx1","timestamp":1}}"#[..],
    );
    [start, name, end].concat()
}

fn open(plain: &[u8]) -> Result<Map<String, Value>, DataError> {
    data(&encrypt([7; 16], [1; 16], plain), [1; 16]).open(&STANDARD.encode([7; 16]).into())
}

#[test]
fn data_with_careless_text_opens() {
    for (name, expected) in [
        (&b"X\x14Y"[..], "X\u{14}Y"),
        (b"a\nb", "a\nb"),
        (b"\\ud83d", "\u{fffd}"),
        ("小明".as_bytes(), "小明"),
        // Cut in the middle of a character.
        (&"小明".as_bytes()[..5], "小\u{fffd}"),
        (&"小😀".as_bytes()[..6], "小\u{fffd}"),
        // CESU-8.
        (b"a\xed\xa0\xbd\xed\xb8\x80b", "a😀b"),
        (b"\xed\xaf\xbf\xed\xbf\xbf", "\u{10ffff}"),
        (b"\xed\xa0\x80\xed\xb0\x80\xe5\xb0", "\u{10000}\u{fffd}"),
        (b"\xed\x9f\xbf\xed\xa0\xbd\xed\xb8\x80", "\u{d7ff}😀"),
    ] {
        assert_eq!(
            open(&named(name)).unwrap()["nickName"],
            expected,
            "{name:?}"
        );
    }
    for (before, after) in [("\u{feff}", "\0\0"), (" \n", "\r\n ")] {
        let plain = [before.as_bytes(), &named(b"n"), after.as_bytes()].concat();
        assert_eq!(open(&plain).unwrap()["nickName"], "n");
    }
}

#[test]
fn data_that_opened_but_is_unreadable_is_not_called_a_wrong_key() {
    let whole = named(b"n");
    for plain in [
        named(b"a\"b"),
        named(b"a\xffb"),
        named(b"\x80"),
        // No pairs: a half, the halves in the wrong order, and one that is cut.
        named(b"\xed\xa0\xbdab"),
        named(b"\xed\xb8\x80\xed\xa0\xbd"),
        named(b"\xed\xa0\xbd\xed\xb8a"),
        whole[..whole.len() - 1].to_vec(),
        [&whole, &b"}"[..]].concat(),
    ] {
        let error = open(&plain).unwrap_err();
        assert!(
            matches!(&error, DataError::Unreadable(cause) if !cause.contains("wx1")),
            "{error}"
        );
    }
    // Without a watermark nothing tells it from noise.
    assert_eq!(open(b"{\"a\":\"\"b\"}").unwrap_err(), DataError::WrongKey);
}

#[test]
fn a_malformed_text_is_described_by_its_likely_mistake() {
    let iv = STANDARD.encode([1; 16]);
    let text = STANDARD.encode([0xfb; 32]);
    let cause = |text: &str, iv: &str| EncryptedData::parse(text, iv).unwrap_err().to_string();
    for (text, part) in [
        (
            text.replace('+', " "),
            "encryptedData is not base64: it contains blanks",
        ),
        (text.replace('+', "-"), "URL-safe"),
        (text.replacen('+', "\n+", 1), "line breaks"),
        (text.replace('+', "%2B"), "percent-encoded"),
        (format!("{text}="), "wrong padding"),
        (STANDARD.encode([0; 15]), "whole blocks"),
    ] {
        let cause = cause(&text, &iv);
        assert!(cause.contains(part), "{cause}");
    }
    assert!(cause(&text, &format!("{iv}\n")).starts_with("iv is not base64: it contains line"));
    assert_eq!(
        cause(&text, &STANDARD.encode([0; 12])),
        "iv is not 16 bytes"
    );
}

proptest! {
    #[test]
    fn no_input_panics(data in any::<String>(), iv in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = EncryptedData::parse(&data, &iv);
        let encoded = STANDARD.encode(bytes);
        if let Ok(data) = EncryptedData::parse(&encoded, &STANDARD.encode([0; 16])) {
            prop_assert_eq!(data.open(&"tiihtNczf5v6AKRyjwEUhQ==".into()).unwrap_err(), DataError::WrongKey);
        }
    }

    #[test]
    fn encrypted_data_opens_to_the_original(name in any::<String>(), key in any::<[u8; 16]>(), iv in any::<[u8; 16]>()) {
        let object = json!({"nickName": name, "watermark": {"appid": "wx1", "timestamp": 1}});
        let opened = data(&encrypt(key, iv, object.to_string().as_bytes()), iv).open(&STANDARD.encode(key).into());
        prop_assert_eq!(Value::Object(opened.unwrap()), object);
    }

    #[test]
    fn a_truncated_ciphertext_never_opens(blocks in 1usize..25) {
        let sample = sample("encryptedData");
        let ciphertext = STANDARD.decode(text(&sample, "encryptedData")).unwrap();
        let iv: [u8; 16] = STANDARD.decode(text(&sample, "iv")).unwrap().try_into().unwrap();
        prop_assert_eq!(data(&ciphertext[..blocks * 16], iv).open(&key(&sample)).unwrap_err(), DataError::WrongKey);
    }
}
