//! The control side over HTTP.

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::support::{APP, OTHER_APP, START, TestSimulator, errcode, text};

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

fn decrypt(session_key: &str, data: &Value) -> Value {
    let key: [u8; 16] = bytes(session_key).try_into().unwrap();
    let iv: [u8; 16] = bytes(data["iv"].as_str().unwrap()).try_into().unwrap();
    let ciphertext = bytes(data["encryptedData"].as_str().unwrap());
    let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into());
    let plaintext = cipher.decrypt_padded_vec::<Pkcs7>(&ciphertext).unwrap();
    serde_json::from_slice(&plaintext).unwrap()
}

async fn encrypted(wechat: &TestSimulator, kind: &str) -> Value {
    wechat
        .post(
            "/_control/encrypted-data",
            json!({"user": "alice", "kind": kind}),
        )
        .await
}

#[tokio::test]
async fn a_code_is_issued_and_exchanged_in_its_own_app_only() {
    let wechat = TestSimulator::new();
    let minted = wechat
        .post("/_control/code", json!({"user": "alice"}))
        .await;
    let session = wechat.code_to_session(&text(&minted["code"])).await;
    assert_eq!(
        session["openid"].as_str(),
        wechat.simulator.open_id("alice", None).ok().as_deref()
    );
    let other = json!({"user": "alice", "appId": OTHER_APP});
    let minted = wechat.post("/_control/code", other).await;
    assert_eq!(
        errcode(&wechat.code_to_session(&text(&minted["code"])).await),
        40029
    );
}

#[tokio::test]
async fn user_info_is_encrypted_and_signed_with_the_current_key() {
    let wechat = TestSimulator::new();
    let change = json!({"user": "alice", "unionId": "o-union"});
    wechat
        .send("PUT", "/_control/users", change.to_string())
        .await;
    let (open_id, key) = wechat.log_in("alice").await;
    let data = encrypted(&wechat, "userinfo").await;
    let opened = decrypt(&key, &data);
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
        raw,
        json!({
            "nickName": "微信用户",
            "gender": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "avatarUrl": "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132",
        })
    );
}

#[tokio::test]
async fn phone_and_steps_have_no_raw_data() {
    let wechat = TestSimulator::new();
    let (_, key) = wechat.log_in("alice").await;
    let phone = encrypted(&wechat, "phone").await;
    assert_eq!(phone.get("rawData"), None);
    assert_eq!(decrypt(&key, &phone)["countryCode"], json!("86"));
    let steps = decrypt(&key, &encrypted(&wechat, "werun").await);
    assert_eq!(steps["stepInfoList"].as_array().unwrap().len(), 31);
}

#[tokio::test]
async fn encrypted_data_before_the_first_login_is_a_conflict() {
    let wechat = TestSimulator::new();
    let body = json!({"user": "alice", "kind": "phone"}).to_string();
    let answer = wechat.send("POST", "/_control/encrypted-data", body).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(text(&answer.json()["error"]).contains("jscode2session"));
}

#[tokio::test]
async fn users_can_be_changed_over_http() {
    let wechat = TestSimulator::new();
    let change = json!({"user": "mallory", "highRisk": true}).to_string();
    let answer = wechat.send("PUT", "/_control/users", change).await;
    assert_eq!(answer.status, StatusCode::OK);
    let code = wechat.simulator.mint_code("mallory", None).unwrap();
    assert_eq!(errcode(&wechat.code_to_session(&code).await), 40226);
}

#[tokio::test]
async fn a_session_key_can_be_rotated_over_http() {
    let wechat = TestSimulator::new();
    let (_, key) = wechat.log_in("alice").await;
    wechat
        .post(
            "/_control/session-key",
            json!({"user": "alice", "action": "rotate"}),
        )
        .await;
    let (other, data) = (bytes(&key), encrypted(&wechat, "phone").await);
    let key: [u8; 16] = other.try_into().unwrap();
    let iv: [u8; 16] = bytes(data["iv"].as_str().unwrap()).try_into().unwrap();
    let cipher = cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into());
    let opened =
        cipher.decrypt_padded_vec::<Pkcs7>(&bytes(data["encryptedData"].as_str().unwrap()));
    let readable = opened.is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_ok());
    assert!(!readable, "the old key must not decrypt it");
}

#[tokio::test]
async fn calls_are_counted_by_path() {
    let wechat = TestSimulator::new();
    wechat.log_in("alice").await;
    wechat.code_to_session("made-up").await;
    assert_eq!(wechat.simulator.calls("/sns/jscode2session"), 2);
    assert_eq!(wechat.simulator.calls("/cgi-bin/token"), 0);
    let result = wechat.get("/_control/calls").await;
    assert_eq!(result, json!({"calls": {"/sns/jscode2session": 2}}));
}

#[tokio::test]
async fn invalid_control_calls_get_a_400_that_names_the_field() {
    let wechat = TestSimulator::new();
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
        let answer = wechat.send(method, path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
        let error = text(&answer.json()["error"]);
        assert!(error.contains(word), "{path} {body}: {error}");
    }
}

#[tokio::test]
async fn unknown_calls_and_methods_get_json_errors() {
    let wechat = TestSimulator::new();
    let unknown = wechat.send("POST", "/_control/nope", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    text(&unknown.json()["error"]);
    let method = wechat.send("GET", "/_control/code", "").await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    text(&method.json()["error"]);
}
