//! The control side over HTTP.

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::support::{APP, Bench, OTHER_APP, START, errcode, text};

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

fn open(session_key: &str, data: &Value) -> Value {
    let key: [u8; 16] = bytes(session_key).try_into().unwrap();
    let iv: [u8; 16] = bytes(data["iv"].as_str().unwrap()).try_into().unwrap();
    let sealed = bytes(data["encryptedData"].as_str().unwrap());
    let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into());
    let plaintext = cipher.decrypt_padded_vec::<Pkcs7>(&sealed).unwrap();
    serde_json::from_slice(&plaintext).unwrap()
}

async fn sealed(bench: &Bench, kind: &str) -> Value {
    bench
        .post(
            "/_control/encrypted-data",
            json!({"user": "alice", "kind": kind}),
        )
        .await
}

#[tokio::test]
async fn a_code_is_minted_and_exchanged() {
    let bench = Bench::new();
    let minted = bench.post("/_control/code", json!({"user": "alice"})).await;
    let session = bench.code_to_session(&text(&minted["code"])).await;
    assert_eq!(
        session["openid"].as_str(),
        bench.simulator.open_id("alice", None).ok().as_deref()
    );
    let other = json!({"user": "alice", "appId": OTHER_APP});
    let minted = bench.post("/_control/code", other).await;
    assert_eq!(
        errcode(&bench.code_to_session(&text(&minted["code"])).await),
        40029
    );
}

#[tokio::test]
async fn the_profile_is_sealed_and_signed_with_the_current_key() {
    let bench = Bench::new();
    let change = json!({"user": "alice", "unionId": "o-union"});
    bench
        .send("PUT", "/_control/users", change.to_string())
        .await;
    let (open_id, key) = bench.log_in("alice").await;
    let data = sealed(&bench, "userinfo").await;
    let opened = open(&key, &data);
    assert_eq!(opened["openId"], json!(open_id));
    assert_eq!(opened["unionId"], json!("o-union"));
    assert_eq!(
        opened["watermark"],
        json!({"timestamp": START, "appid": APP})
    );
    let raw = text(&data["rawData"]);
    let signature = hex::encode(Sha1::digest(format!("{raw}{key}")));
    assert_eq!(text(&data["signature"]), signature);
    let raw: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(
        (&raw["nickName"], raw.get("openId")),
        (&json!("alice"), None)
    );
}

#[tokio::test]
async fn phone_and_steps_come_without_raw_data() {
    let bench = Bench::new();
    let (_, key) = bench.log_in("alice").await;
    let phone = sealed(&bench, "phone").await;
    assert_eq!(phone.get("rawData"), None);
    assert_eq!(open(&key, &phone)["countryCode"], json!("86"));
    let steps = open(&key, &sealed(&bench, "werun").await);
    assert_eq!(steps["stepInfoList"].as_array().unwrap().len(), 31);
}

#[tokio::test]
async fn there_is_nothing_to_seal_with_before_the_first_login() {
    let bench = Bench::new();
    let body = json!({"user": "alice", "kind": "phone"}).to_string();
    let answer = bench.send("POST", "/_control/encrypted-data", body).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(text(&answer.json()["error"]).contains("jscode2session"));
}

#[tokio::test]
async fn users_are_changed_over_http() {
    let bench = Bench::new();
    let change = json!({"user": "mallory", "highRisk": true}).to_string();
    let answer = bench.send("PUT", "/_control/users", change).await;
    assert_eq!(answer.status, StatusCode::OK);
    let code = bench.simulator.mint_code("mallory", None).unwrap();
    assert_eq!(errcode(&bench.code_to_session(&code).await), 40226);
}

#[tokio::test]
async fn a_session_key_is_rotated_over_http() {
    let bench = Bench::new();
    let (_, key) = bench.log_in("alice").await;
    bench
        .post(
            "/_control/session-key",
            json!({"user": "alice", "action": "rotate"}),
        )
        .await;
    let (other, data) = (bytes(&key), sealed(&bench, "phone").await);
    let key: [u8; 16] = other.try_into().unwrap();
    let iv: [u8; 16] = bytes(data["iv"].as_str().unwrap()).try_into().unwrap();
    let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into());
    let opened =
        cipher.decrypt_padded_vec::<Pkcs7>(&bytes(data["encryptedData"].as_str().unwrap()));
    let readable = opened.is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_ok());
    assert!(!readable, "the old key must not open it");
}

#[tokio::test]
async fn calls_are_counted_by_path() {
    let bench = Bench::new();
    bench.log_in("alice").await;
    bench.code_to_session("made-up").await;
    assert_eq!(bench.simulator.calls("/sns/jscode2session"), 2);
    assert_eq!(bench.simulator.calls("/cgi-bin/token"), 0);
    let told = bench.get("/_control/calls").await;
    assert_eq!(told, json!({"calls": {"/sns/jscode2session": 2}}));
}

#[tokio::test]
async fn mistakes_are_named() {
    let bench = Bench::new();
    for (method, path, body, word) in [
        ("POST", "/_control/code", "", "EOF"),
        ("POST", "/_control/code", "{}", "user"),
        ("POST", "/_control/code", r#"{"user":""}"#, "user"),
        (
            "POST",
            "/_control/code",
            "{\"user\":\"a\\u0000b\"}",
            "control character",
        ),
        (
            "POST",
            "/_control/code",
            r#"{"user":"a","appid":"x"}"#,
            "appid",
        ),
        (
            "POST",
            "/_control/code",
            r#"{"user":"a","appId":"wxnone"}"#,
            "no such app",
        ),
        ("POST", "/_control/phone-code", "[]", "invalid"),
        (
            "POST",
            "/_control/encrypted-data",
            r#"{"user":"a","kind":"face"}"#,
            "userinfo",
        ),
        (
            "POST",
            "/_control/session-key",
            r#"{"user":"a","action":"burn"}"#,
            "rotate",
        ),
        ("PUT", "/_control/users", r#"{"highRisk":true}"#, "user"),
        (
            "PUT",
            "/_control/users",
            r#"{"user":"a","risk":true}"#,
            "risk",
        ),
        (
            "PUT",
            "/_control/users",
            r#"{"user":"a","phone":"abc"}"#,
            "phone",
        ),
        ("PUT", "/_control/faults", r#"{"latency":1}"#, "latency"),
        (
            "PUT",
            "/_control/faults",
            r#"{"path":"/nope","reset":true}"#,
            "path",
        ),
    ] {
        let answer = bench.send(method, path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
        let error = text(&answer.json()["error"]);
        assert!(error.contains(word), "{path} {body}: {error}");
    }
}

#[tokio::test]
async fn unknown_calls_and_methods_answer_json_too() {
    let bench = Bench::new();
    let unknown = bench.send("POST", "/_control/nope", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    text(&unknown.json()["error"]);
    let method = bench.send("GET", "/_control/code", "").await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    text(&method.json()["error"]);
}
