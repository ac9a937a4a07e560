//! `/.well-known/jwks.json`: enough to verify tokens, with libraries that the backend does not use.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use e2e::test_app::{Api, SharedState, TestApp, Tokens};
use rsa::{BoxedUint, signature::Verifier};
use serde_json::{Value, json};
use shared::crypto::KeyKind;

use super::NamedKey;

fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn member(jwk: &Value, name: &str) -> Vec<u8> {
    bytes(
        jwk[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}: {jwk}")),
    )
}

async fn key_set(api: &Api) -> Value {
    let (status, headers, body) = api
        .request("GET", "/.well-known/jwks.json")
        .send_raw()
        .await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/jwk-set+json");
    assert_eq!(headers["cache-control"], "public, max-age=600");
    serde_json::from_slice(&body).unwrap()
}

/// Whether a key of the set verifies this token, by `RustCrypto`; the backend uses aws-lc.
fn verifies(set: &Value, token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header: Value = serde_json::from_slice(&bytes(token.split('.').next().unwrap())).unwrap();
    let jwk = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header["kid"]);
    let Some(jwk) = jwk.filter(|key| key["alg"] == header["alg"] && key["use"] == "sig") else {
        return false;
    };
    let (message, signature) = (message.as_bytes(), bytes(signature));
    match (jwk["kty"].as_str().unwrap(), jwk["crv"].as_str()) {
        ("EC", Some("P-256")) => {
            let point = [&[4][..], &member(jwk, "x"), &member(jwk, "y")].concat();
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
            key.verify(
                message,
                &p256::ecdsa::Signature::from_slice(&signature).unwrap(),
            )
            .is_ok()
        }
        ("OKP", Some("Ed25519")) => {
            let key =
                ed25519_dalek::VerifyingKey::from_bytes(&member(jwk, "x").try_into().unwrap())
                    .unwrap();
            key.verify_strict(
                message,
                &ed25519_dalek::Signature::from_slice(&signature).unwrap(),
            )
            .is_ok()
        }
        ("RSA", None) => {
            let number = |name| BoxedUint::from_be_slice_vartime(&member(jwk, name));
            let key = rsa::PublicKey::new(number("n"), number("e")).unwrap();
            let key = rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(key);
            key.verify(message, &signature.as_slice().try_into().unwrap())
                .is_ok()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_verify_with_the_published_key_set() {
    let app = TestApp::start(SharedState::InProcess).await;
    let keys = [
        ("es", KeyKind::P256),
        ("ed", KeyKind::Ed25519),
        ("rs", KeyKind::Rsa2048),
    ];
    let keys = keys.map(|(name, kind)| NamedKey::new(name, kind));
    // Each signs at its own instance; another instance publishes all public halves.
    let publics = keys.each_ref().map(|key| key.public.as_str()).join(",");
    let verifying = app.another_instance_with(&[("JWT_KEYS", &publics)]).await;
    let set = key_set(&verifying).await;
    assert_eq!(set["keys"].as_array().unwrap().len(), 3);
    for (key, algorithm) in keys.iter().zip(["ES256", "EdDSA", "RS256"]) {
        let signing = app
            .another_instance_with(&[("JWT_KEYS", &key.private)])
            .await;
        let tokens = Tokens::of(&signing.login(&app.code("alice")).await);
        assert_eq!(
            tokens.header(),
            json!({"typ": "at+jwt", "alg": algorithm, "kid": key.name})
        );
        assert!(verifies(&set, &tokens.access), "{algorithm}");
        assert!(
            verifies(&key_set(&signing).await, &tokens.access),
            "{algorithm}"
        );
        let (unsigned, signature) = tokens.access.rsplit_once('.').unwrap();
        let mut other = bytes(signature);
        other[9] ^= 1;
        let forged = format!("{unsigned}.{}", BASE64_URL_SAFE_NO_PAD.encode(other));
        assert!(!verifies(&set, &forged), "{algorithm}");
        verifying.info(&tokens.access).await.ok(200);
        verifying.info(&forged).await.fails(401, "token_invalid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_not_in_the_key_set() {
    let app = TestApp::start(SharedState::InProcess).await;
    assert_eq!(key_set(&app.api).await, json!({"keys": []}));
    let tokens = app.log_in("alice").await;
    assert_eq!(tokens.header()["alg"], "HS256");
    assert!(!verifies(&key_set(&app.api).await, &tokens.access));
}
