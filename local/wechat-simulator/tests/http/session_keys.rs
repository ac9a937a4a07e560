//! checkSessionKey, resetUserSessionKey, getUserEncryptKey.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use wechat_simulator::SessionKeyAction;

use crate::support::{Bench, errcode, text};

const CHECK: &str = "/wxa/checksession";
const RESET: &str = "/wxa/resetusersessionkey";
const KEYS: &str = "/wxa/business/getuserencryptkey";

/// Written out here once more: the simulator must not be its own judge.
fn sign(session_key: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(session_key.as_bytes()).unwrap();
    hex::encode(mac.finalize().into_bytes())
}

async fn call(bench: &Bench, path: &str, open_id: &str, key: &str) -> Value {
    let token = bench.access_token().await;
    let signature = sign(key);
    bench
        .get(&format!("{path}?access_token={token}&openid={open_id}&signature={signature}&sig_method=hmac_sha256"))
        .await
}

#[tokio::test]
async fn the_current_key_checks_and_the_former_one_does_not() {
    let bench = Bench::new();
    let (open_id, old) = bench.log_in("alice").await;
    let (_, new) = bench.log_in("alice").await;
    let good = call(&bench, CHECK, &open_id, &new).await;
    assert_eq!(good, json!({"errcode": 0, "errmsg": "ok"}));
    assert_eq!(errcode(&call(&bench, CHECK, &open_id, &old).await), 87009);
}

#[tokio::test]
async fn a_reset_answers_the_new_key() {
    let bench = Bench::new();
    let (open_id, old) = bench.log_in("alice").await;
    let answer = call(&bench, RESET, &open_id, &old).await;
    let new = text(&answer["session_key"]);
    assert_eq!(text(&answer["openid"]), open_id);
    assert_ne!(new, old);
    assert_eq!(errcode(&call(&bench, CHECK, &open_id, &new).await), 0);
    assert_eq!(errcode(&call(&bench, RESET, &open_id, &old).await), 87009);
}

#[tokio::test]
async fn too_many_resets_are_refused() {
    let bench = Bench::new();
    let (open_id, mut key) = bench.log_in("alice").await;
    for _ in 0..10 {
        key = text(&call(&bench, RESET, &open_id, &key).await["session_key"]);
    }
    assert_eq!(errcode(&call(&bench, RESET, &open_id, &key).await), 45011);
}

#[tokio::test]
async fn a_key_that_wechat_rotated_or_ended_is_stale() {
    let bench = Bench::new();
    let (open_id, key) = bench.log_in("alice").await;
    bench
        .simulator
        .session_key("alice", SessionKeyAction::Rotate, None)
        .unwrap();
    assert_eq!(errcode(&call(&bench, CHECK, &open_id, &key).await), 87009);
    let (_, key) = bench.log_in("alice").await;
    bench
        .simulator
        .session_key("alice", SessionKeyAction::Expire, None)
        .unwrap();
    assert_eq!(errcode(&call(&bench, CHECK, &open_id, &key).await), 87009);
    assert_eq!(errcode(&call(&bench, RESET, &open_id, &key).await), 87007);
    assert_eq!(errcode(&call(&bench, KEYS, &open_id, &key).await), 87007);
}

#[tokio::test]
async fn encryption_keys_come_newest_first_with_the_time_they_have_left() {
    let bench = Bench::new();
    let (open_id, key) = bench.log_in("alice").await;
    call(&bench, KEYS, &open_id, &key).await;
    bench.pass(3600);
    let answer = call(&bench, KEYS, &open_id, &key).await;
    let list = answer["key_info_list"].as_array().unwrap();
    let told: Vec<_> = list
        .iter()
        .map(|key| (&key["version"], &key["expire_in"]))
        .collect();
    assert_eq!(told, [(&json!(2), &json!(3600)), (&json!(1), &json!(0))]);
    assert_eq!(text(&list[0]["encrypt_key"]).len(), 24);
    assert_eq!(text(&list[0]["iv"]).len(), 16);
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_errcode() {
    let bench = Bench::new();
    let (open_id, key) = bench.log_in("alice").await;
    let token = bench.access_token().await;
    let signature = sign(&key);
    let bob = bench.simulator.open_id("bob", None).unwrap();
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
        let answer = bench
            .get(&format!("{RESET}?access_token={token}&{query}"))
            .await;
        assert_eq!(errcode(&answer), expected, "{query}");
    }
    assert_eq!(errcode(&bench.post(CHECK, json!({})).await), 43001);
}
