//! Project Wycheproof's vectors: our functions, or else the library calls that we make, accept
//! every valid one and reject every invalid one.

use aes::{Aes128, Aes192, Aes256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::ExposeSecret;
use sha2::{Sha256, Sha512};
use wycheproof::{aead, cipher, ecdsa, eddsa, mac, rsa_oaep};

use super::{TransportKey, aes_cbc, jwe::Enc};

/// Checks the result for each vector, and counts it.
#[derive(Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
}

impl Tally {
    #[track_caller]
    fn record(&mut self, id: usize, accepted: bool, invalid: bool, comment: &str) {
        assert_ne!(accepted, invalid, "{id} {comment}");
        if accepted {
            self.accepted += 1;
        } else {
            self.rejected += 1;
        }
    }

    /// An empty test set would prove nothing.
    #[track_caller]
    fn assert_each_at_least(&self, count: usize) {
        assert!(
            self.accepted >= count && self.rejected >= count,
            "{} {}",
            self.accepted,
            self.rejected
        );
    }
}

#[test]
fn aes_cbc_pkcs5() {
    let mut tally = Tally::default();
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5)
        .unwrap()
        .test_groups
    {
        for test in group.tests {
            let (key, iv, ciphertext) = (&*test.key, &*test.nonce, &*test.ct);
            let (open, seal) = match group.key_size {
                128 => (
                    aes_cbc::decrypt::<Aes128>(key, iv, ciphertext),
                    aes_cbc::encrypt::<Aes128>(key, iv, &test.pt),
                ),
                192 => (
                    aes_cbc::decrypt::<Aes192>(key, iv, ciphertext),
                    aes_cbc::encrypt::<Aes192>(key, iv, &test.pt),
                ),
                _ => (
                    aes_cbc::decrypt::<Aes256>(key, iv, ciphertext),
                    aes_cbc::encrypt::<Aes256>(key, iv, &test.pt),
                ),
            };
            tally.record(
                test.tc_id,
                open.as_deref() == Some(&*test.pt),
                test.result.must_fail(),
                &test.comment,
            );
            if !test.result.must_fail() {
                assert_eq!(seal.as_deref(), Some(&test.ct[..]), "{}", test.tc_id);
            }
        }
    }
    tally.assert_each_at_least(30);
}

/// Vectors of other sizes than ours have to be rejected, even the valid ones.
fn aead(name: aead::TestName, enc: Enc) -> Tally {
    let mut tally = Tally::default();
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let ours = group.key_size == enc.key_len() * 8
            && group.nonce_size == enc.iv_len() * 8
            && group.tag_size == enc.tag_len() * 8;
        for test in group.tests {
            let open = enc.open(&test.key, &test.nonce, &test.aad, (&test.ct, &test.tag));
            let must_fail = test.result.must_fail() || !ours;
            tally.record(
                test.tc_id,
                open.as_deref() == Ok(&*test.pt),
                must_fail,
                &test.comment,
            );
            if !must_fail {
                let sealed = enc
                    .seal(&test.key, &test.nonce, &test.aad, &test.pt)
                    .unwrap();
                assert_eq!(
                    (&*sealed.0, &*sealed.1),
                    (&test.ct[..], &test.tag[..]),
                    "{}",
                    test.tc_id
                );
            }
        }
    }
    tally
}

#[test]
fn aes_gcm() {
    aead(aead::TestName::AesGcm, Enc::A256Gcm).assert_each_at_least(30);
}

#[test]
fn aes_cbc_hmac_sha2() {
    aead(aead::TestName::Aes256CbcHmacSha512, Enc::A256CbcHs512).assert_each_at_least(10);
    // The other family members are not accepted on the wire.
    let others = aead(aead::TestName::Aes128CbcHmacSha256, Enc::A256CbcHs512);
    assert_eq!(others.accepted, 0);
    assert!(others.rejected > 20);
}

fn hmac<D: EagerHash>(name: mac::TestName) {
    let mut tally = Tally::default();
    for group in mac::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let mac = Hmac::<D>::new_from_slice(&test.key)
                .unwrap()
                .chain_update(&*test.msg);
            let accepted = test.tag.len() * 8 == group.tag_size
                && mac.verify_truncated_left(&test.tag).is_ok();
            tally.record(test.tc_id, accepted, test.result.must_fail(), &test.comment);
        }
    }
    tally.assert_each_at_least(50);
}

#[test]
fn hmac_sha256_and_sha512() {
    hmac::<Sha256>(mac::TestName::HmacSha256);
    hmac::<Sha512>(mac::TestName::HmacSha512);
}

#[test]
fn rsa_oaep_2048_sha256() {
    let mut tally = Tally::default();
    for group in rsa_oaep::TestSet::load(rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256)
        .unwrap()
        .test_groups
    {
        let key = TransportKey::from_pkcs8("k", &group.pkcs8).unwrap();
        for test in group.tests {
            let unwrapped = key.unwrap(&test.ct);
            let accepted = unwrapped.is_some_and(|plain| *plain.expose_secret() == *test.pt);
            // JOSE has no labels (RFC 7518 §4.3), so what has one is not for us.
            let must_fail = test.result.must_fail() || !test.label.is_empty();
            tally.record(test.tc_id, accepted, must_fail, &test.comment);
        }
    }
    tally.assert_each_at_least(10);
}

/// As JWT's signatures are verified.
fn verify(algorithm: Algorithm, key: &DecodingKey, message: &[u8], signature: &[u8]) -> bool {
    let signature = URL_SAFE_NO_PAD.encode(signature);
    jsonwebtoken::crypto::verify(&signature, message, key, algorithm).unwrap_or(false)
}

#[test]
fn ecdsa_p256_as_es256() {
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363)
        .unwrap()
        .test_groups
    {
        let (x, y) = group.key.key[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let key = DecodingKey::from_ec_components(&x, &y).unwrap();
        for test in group.tests {
            let accepted = verify(Algorithm::ES256, &key, &test.msg, &test.sig);
            tally.record(test.tc_id, accepted, test.result.must_fail(), &test.comment);
        }
    }
    tally.assert_each_at_least(50);
}

#[test]
fn ed25519_as_eddsa() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(&*group.key.pk)).unwrap();
        for test in group.tests {
            let accepted = verify(Algorithm::EdDSA, &key, &test.msg, &test.sig);
            tally.record(test.tc_id, accepted, test.result.must_fail(), &test.comment);
        }
    }
    tally.assert_each_at_least(50);
}
