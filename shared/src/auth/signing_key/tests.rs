use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;
use crate::crypto::{KeyKind, KeyPair};

/// RFC 8410 §10.3 and §10.1: a pair in PKCS#8 v1, and its public half.
const ED25519_PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
const ED25519_PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
/// The example of jwt.io for ES256.
const JWT_IO: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G";
/// Made with `openssl genpkey` and `openssl pkcs8 -topk8`: P-384, RSA-1024.
const P384: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBQTSNUArPe02cO2ajhEoD2Tv3EBYJfFgbIOcEhfHxiIjktyAfN+enBGlylgT8IIvihZANiAAQAxi8aVj4DMkCp/gcvCsHFUupIbPsqbaPhyM654tGdtla15r8LmND9pZNnDkpt/fnqmEXxqjgTtihRvf2ZrHK7tidDWPEwztpfwXZ1cImy1ZjlHPc/LWBMAuBRkJ/Urv8=";
const RSA_1024: &str = "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBANdy6QeizvTHV0WKIZHiWtQo/MfbKtGicd48LAjxO4DDH6kYnKkuYfBxI4JVLgB31G+FseOTsJrBie1LiTBG4kFTPMJRN4l0RoI6L5xvGW3f0+TsMptwm4FbIJawarQ76JGpkpqQwtoIjpqhtrZKu55T5Jpr8KQ2VTJ4iOr9n27nAgMBAAECgYEAg+AneXATg8scxUkGwVgvRpwMFn012Xm4f1KPla2rQWauU3/oLLpiYp2uIZHoBYtTsivAtk9pk2CR/3jz8WQCCuDU0wuehGBznqGjzcSh/U+TA/7RP7WOEA1PPYQ8hM1fYVP5FwoAJCI9L8Ev27OkqDOe8M2nw1UAlWbVCJpPmFECQQDtgNRW8Fwwf9PjSBL6YuOOLAASi1VRPdRmy4FpqR09Tm6syg4gB0wtV0LnNGe3crJx1Emn5MFqNypRqoAnjmSJAkEA6DpgX1Ct2vHYklPeiIeVn6gdGWKq9DIL9+4DnyeWaHqbWXsJdnZTOcPDvfUjnGBcumG3lu5QPOAR3lHE8WQ77wJBANxM4al67qh2CZ8K3b+vNpBLtA1/fLYM+hYXsoTFvz98nyBbk9qVqk1sYbyAWaxKEceQOHopsFbLsM9rrdADPrECQC8LBFLKqS1dKJ4b10yZCrpY9+wYjMEDEmGbGai4AEQR8j5iKjyRI7Lj8VcdvaUD8EThXqt4g1CRo40By3+K6okCQBBzJCwX7oYg0Ywkl42AJOKViuy4K6z1g6z0VvQ8WA3iUKHYCQFzg6SYDJ5+2sBazw++I4EHh8VwezMnMIn1jKY=";
const RSA_1024_PUBLIC: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDXcukHos70x1dFiiGR4lrUKPzH2yrRonHePCwI8TuAwx+pGJypLmHwcSOCVS4Ad9RvhbHjk7CawYntS4kwRuJBUzzCUTeJdEaCOi+cbxlt39Pk7DKbcJuBWyCWsGq0O+iRqZKakMLaCI6aoba2SrueU+Saa/CkNlUyeIjq/Z9u5wIDAQAB";
const P384_PUBLIC: &str = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEAMYvGlY+AzJAqf4HLwrBxVLqSGz7Km2j4cjOueLRnbZWtea/C5jQ/aWTZw5Kbf356phF8ao4E7YoUb39maxyu7YnQ1jxMM7aX8F2dXCJstWY5Rz3Py1gTALgUZCf1K7/";

fn read(base64: &str) -> Result<SigningKey, SigningKeyError> {
    SigningKey::from_der(&STANDARD.decode(base64).unwrap(), None)
}

#[test]
fn both_halves_of_a_key_are_the_same_key() {
    let (private, public) = (
        read(ED25519_PRIVATE).unwrap(),
        read(ED25519_PUBLIC).unwrap(),
    );
    assert!(private.sign.is_some() && public.sign.is_none());
    assert_eq!(
        (&private.id, private.algorithm),
        (&public.id, Algorithm::EdDSA)
    );
    assert_eq!(private.jwk(), public.jwk());
    let named =
        SigningKey::from_der(&STANDARD.decode(ED25519_PUBLIC).unwrap(), Some("mine")).unwrap();
    assert_eq!(named.id, "mine");
}

#[test]
fn the_halves_of_a_new_key_fit_together() {
    for kind in [KeyKind::P256, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let pair = KeyPair::generate(kind).unwrap();
        let (private, public) = (
            read(pair.private.expose_secret()).unwrap(),
            read(&pair.public).unwrap(),
        );
        assert!(private.sign.is_some() && public.sign.is_none());
        assert_eq!(private.jwk(), public.jwk(), "{kind:?}");
    }
}

#[test]
fn bad_keys_are_rejected() {
    assert_eq!(read(JWT_IO).err(), Some(SigningKeyError::Published));
    assert_eq!(read(P384).err(), Some(SigningKeyError::Unknown));
    assert_eq!(read(P384_PUBLIC).err(), Some(SigningKeyError::Unknown));
    assert_eq!(read(RSA_1024).err(), Some(SigningKeyError::Rsa));
    assert_eq!(read(RSA_1024_PUBLIC).err(), Some(SigningKeyError::Rsa));
    // A secret by mistake is not taken for a public key, which anyone may see.
    for len in [0, 32, 33, 64, 65] {
        assert_eq!(
            SigningKey::from_der(&vec![4; len], None).err(),
            Some(SigningKeyError::Unknown),
            "{len} bytes"
        );
    }
}

#[test]
fn a_point_off_the_curve_is_rejected() {
    let document = STANDARD.decode(JWT_IO).unwrap();
    let point = &document[document.len() - 65..];
    let mut public = STANDARD
        .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
        .unwrap();
    public.extend(&point[1..]);
    assert_eq!(
        SigningKey::from_der(&public, None).err(),
        Some(SigningKeyError::Published)
    );
    *public.last_mut().unwrap() ^= 1;
    assert_eq!(
        SigningKey::from_der(&public, None).err(),
        Some(SigningKeyError::Broken)
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(der: Vec<u8>) {
        prop_assert!(SigningKey::from_der(&der, None).is_err());
    }

    #[test]
    fn a_changed_document_never_panics(at in 0usize..48, to: u8) {
        let mut der = STANDARD.decode(ED25519_PRIVATE).unwrap();
        der[at] = to;
        let _ = SigningKey::from_der(&der, None);
    }
}
