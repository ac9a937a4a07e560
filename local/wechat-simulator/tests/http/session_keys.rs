//! checkSessionKey, resetUserSessionKey, getUserEncryptKey.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use wechat_simulator::SessionKeyAction;

use crate::support::{TestSimulator, errcode, text};

const CHECK: &str = "/wxa/checksession";
const RESET: &str = "/wxa/resetusersessionkey";
const KEYS: &str = "/wxa/business/getuserencryptkey";

/// Independent of the simulator's own code, which it checks.
fn sign(session_key: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(session_key.as_bytes()).unwrap();
    hex::encode(mac.finalize().into_bytes())
}

async fn call(wechat: &TestSimulator, path: &str, open_id: &str, key: &str) -> Value {
    let token = wechat.access_token().await;
    let signature = sign(key);
    wechat
        .get(&format!("{path}?access_token={token}&openid={open_id}&signature={signature}&sig_method=hmac_sha256"))
        .await
}

#[tokio::test]
async fn only_the_current_key_passes_the_check() {
    let wechat = TestSimulator::new();
    let (open_id, old) = wechat.log_in("alice").await;
    let (_, new) = wechat.log_in("alice").await;
    let good = call(&wechat, CHECK, &open_id, &new).await;
    assert_eq!(good, json!({"errcode": 0, "errmsg": "ok"}));
    assert_eq!(errcode(&call(&wechat, CHECK, &open_id, &old).await), 87009);
}

#[tokio::test]
async fn a_reset_returns_the_new_key() {
    let wechat = TestSimulator::new();
    let (open_id, old) = wechat.log_in("alice").await;
    let answer = call(&wechat, RESET, &open_id, &old).await;
    let new = text(&answer["session_key"]);
    assert_eq!(text(&answer["openid"]), open_id);
    assert_ne!(new, old);
    assert_eq!(errcode(&call(&wechat, CHECK, &open_id, &new).await), 0);
    assert_eq!(errcode(&call(&wechat, RESET, &open_id, &old).await), 87009);
}

#[tokio::test]
async fn too_many_resets_are_rejected() {
    let wechat = TestSimulator::new();
    let (open_id, mut key) = wechat.log_in("alice").await;
    for _ in 0..10 {
        key = text(&call(&wechat, RESET, &open_id, &key).await["session_key"]);
    }
    assert_eq!(errcode(&call(&wechat, RESET, &open_id, &key).await), 45011);
}

#[tokio::test]
async fn a_rotated_or_expired_key_is_rejected() {
    let wechat = TestSimulator::new();
    let (open_id, key) = wechat.log_in("alice").await;
    wechat
        .simulator
        .session_key("alice", SessionKeyAction::Rotate, None)
        .unwrap();
    assert_eq!(errcode(&call(&wechat, CHECK, &open_id, &key).await), 87009);
    let (_, key) = wechat.log_in("alice").await;
    wechat
        .simulator
        .session_key("alice", SessionKeyAction::Expire, None)
        .unwrap();
    assert_eq!(errcode(&call(&wechat, CHECK, &open_id, &key).await), 87009);
    assert_eq!(errcode(&call(&wechat, RESET, &open_id, &key).await), 87007);
    assert_eq!(errcode(&call(&wechat, KEYS, &open_id, &key).await), 87007);
}

#[tokio::test]
async fn encryption_keys_are_returned_newest_first_with_their_remaining_time() {
    let wechat = TestSimulator::new();
    let (open_id, key) = wechat.log_in("alice").await;
    call(&wechat, KEYS, &open_id, &key).await;
    wechat.advance(3600);
    let answer = call(&wechat, KEYS, &open_id, &key).await;
    let list = answer["key_info_list"].as_array().unwrap();
    let result: Vec<_> = list
        .iter()
        .map(|key| (&key["version"], &key["expire_in"]))
        .collect();
    assert_eq!(result, [(&json!(2), &json!(3600)), (&json!(1), &json!(0))]);
    assert_eq!(text(&list[0]["encrypt_key"]).len(), 24);
    assert_eq!(text(&list[0]["iv"]).len(), 16);
}

#[tokio::test]
async fn invalid_requests_return_the_documented_errcode() {
    let wechat = TestSimulator::new();
    let (open_id, key) = wechat.log_in("alice").await;
    let token = wechat.access_token().await;
    let signature = sign(&key);
    let bob = wechat.simulator.open_id("bob", None).unwrap();
    for (query, expected) in [
        (
            format!("signature={signature}&sig_method=hmac_sha256"),
            41009,
        ),
        (
            format!("openid={open_id}&signature={signature}&sig_method=md5"),
            87008,
        ),
        (format!("openid={open_id}&signature={signature}"), 87008),
        (format!("openid={open_id}&sig_method=hmac_sha256"), 87009),
        (
            format!("openid=x&signature={signature}&sig_method=hmac_sha256"),
            40003,
        ),
        (
            format!("openid={bob}&signature={signature}&sig_method=hmac_sha256"),
            87007,
        ),
    ] {
        let answer = wechat
            .get(&format!("{RESET}?access_token={token}&{query}"))
            .await;
        assert_eq!(errcode(&answer), expected, "{query}");
    }
    assert_eq!(errcode(&wechat.post(CHECK, json!({})).await), 43001);
}
