use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::*;

fn der(name: &str) -> Vec<u8> {
    let keys: Value = serde_json::from_str(include_str!("data/keys.json")).unwrap();
    STANDARD.decode(keys[name].as_str().unwrap()).unwrap()
}

#[test]
fn the_private_key_unwraps_what_the_public_key_wrapped() {
    for name in ["rsa_2048", "rsa_4096"] {
        let key = TransportKey::from_pkcs8("k1", &der(name)).unwrap();
        let wrapped = key
            .public()
            .wrap(b"a content key", &Random::seeded(1))
            .unwrap();
        assert_eq!(wrapped.len(), key.wrapped_len());
        assert_eq!(
            key.unwrap(&wrapped).unwrap().expose_secret(),
            b"a content key"
        );
        assert_ne!(
            wrapped,
            key.public()
                .wrap(b"a content key", &Random::seeded(2))
                .unwrap()
        );
    }
}

#[test]
fn keys_of_the_wrong_size_or_kind_are_rejected() {
    let whole = der("rsa_2048");
    for bad in [
        &der("rsa_1024")[..],
        &der("p256"),
        &whole[..whole.len() - 1],
        b"",
        b"\x30\x00",
    ] {
        assert_eq!(TransportKey::from_pkcs8("k1", bad).err(), Some(KeyError));
    }
}

#[test]
fn a_value_wrapped_for_another_key_or_modified_does_not_unwrap() {
    let key = TransportKey::from_pkcs8("k1", &der("rsa_2048")).unwrap();
    let other = TransportKey::generate("k2").unwrap();
    let wrapped = other
        .public()
        .wrap(b"a content key", &Random::seeded(1))
        .unwrap();
    assert!(key.unwrap(&wrapped).is_none());
    let mut wrapped = key
        .public()
        .wrap(b"a content key", &Random::seeded(1))
        .unwrap();
    assert!(key.unwrap(&wrapped[1..]).is_none());
    wrapped[100] ^= 1;
    assert!(key.unwrap(&wrapped).is_none());
}

#[test]
fn a_public_key_survives_the_round_trip_through_its_jwk() {
    let key = TransportKey::from_pkcs8("k1", &der("rsa_2048")).unwrap();
    let jwk = serde_json::to_value(key.public().jwk("k1")).unwrap();
    assert_eq!(jwk["kty"], "RSA");
    assert_eq!(
        (&jwk["use"], &jwk["alg"], &jwk["kid"]),
        (&"enc".into(), &"RSA-OAEP-256".into(), &"k1".into())
    );
    assert_eq!(jwk["e"], "AQAB");
    // 2048 bits without a leading zero (RFC 7518 §6.3.1.1).
    assert_eq!(jwk["n"].as_str().unwrap().len(), 342);
    assert_eq!(jwk.as_object().unwrap().len(), 6);
    let read: RsaJwk = serde_json::from_value(jwk).unwrap();
    assert_eq!(PublicKey::from_jwk(&read).as_ref(), Ok(key.public()));
}

#[test]
fn a_jwk_without_a_valid_key_is_rejected() {
    let good = TransportKey::from_pkcs8("k1", &der("rsa_2048"))
        .unwrap()
        .public()
        .jwk("k1");
    let bad = |change: fn(&mut RsaJwk)| {
        let mut jwk = good.clone();
        change(&mut jwk);
        PublicKey::from_jwk(&jwk)
    };
    assert_eq!(bad(|jwk| jwk.kty = "EC".to_owned()), Err(KeyError));
    assert_eq!(bad(|jwk| jwk.n.truncate(100)), Err(KeyError));
    assert_eq!(bad(|jwk| jwk.e = "AQ".to_owned()), Err(KeyError));
    assert_eq!(bad(|jwk| jwk.e = "Ag".to_owned()), Err(KeyError));
    assert_eq!(bad(|jwk| jwk.n = "+".repeat(342)), Err(KeyError));
}

#[test]
fn all_keys_are_found_and_the_first_is_offered() {
    let keys = ["new", "old"].map(|kid| TransportKey::from_pkcs8(kid, &der("rsa_2048")).unwrap());
    let keys = TransportKeys(keys.into());
    assert_eq!(keys.first().map(TransportKey::kid), Some("new"));
    assert_eq!(keys.find("old").map(TransportKey::kid), Some("old"));
    assert!(keys.find("older").is_none());
}
