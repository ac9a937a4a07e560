//! Message push.

use std::sync::Arc;

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use futures_util::FutureExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use wechat_simulator::{PushConfig, PushResponse, PushTransport};

use crate::support::{APP, OTHER_APP, START, TestSimulator, text};

const TOKEN: &str = "tokenOfTheFirstApp";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn with_push() -> TestSimulator {
    let wechat = TestSimulator::new();
    let config = |app_id: &str, token: &str, key: Option<&str>| PushConfig {
        app_id: app_id.to_owned(),
        token: token.to_owned(),
        encoding_aes_key: key.map(str::to_owned),
    };
    let configs = [
        config(APP, TOKEN, Some(KEY)),
        config(OTHER_APP, "tokenOfTheOtherApp", None),
    ];
    wechat.simulator.configure_push(configs).unwrap();
    wechat
}

async fn request(wechat: &TestSimulator, order: Value) -> Value {
    wechat.post("/_control/push", order).await["request"].take()
}

fn parameter(request: &Value, name: &str) -> String {
    let query = text(&request["query"]);
    let value = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| *found == name);
    value
        .unwrap_or_else(|| panic!("no {name}: {query}"))
        .1
        .to_owned()
}

fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    hex::encode(Sha1::digest(parts.concat()))
}

/// The plaintext without its padding to a multiple of 32 bytes.
fn decrypted(encrypt: &str) -> Vec<u8> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, config);
    let key: [u8; 32] = lenient
        .decode(format!("{KEY}="))
        .unwrap()
        .try_into()
        .unwrap();
    let iv: [u8; 16] = key[..16].try_into().unwrap();
    let cipher = cbc::Decryptor::<Aes256>::new(&key.into(), &iv.into());
    let mut plaintext = cipher
        .decrypt_padded_vec::<NoPadding>(&lenient.decode(encrypt).unwrap())
        .unwrap();
    assert_eq!(plaintext.len() % 32, 0);
    plaintext.truncate(plaintext.len() - usize::from(*plaintext.last().unwrap()));
    plaintext
}

#[tokio::test]
async fn a_secure_message_is_signed_and_encrypted() {
    let wechat = with_push();
    let order = json!({"user": "alice", "event": "user_authorization_revoke", "fields": {"RevokeInfo": "8"}});
    let request = request(&wechat, order).await;
    assert_eq!(
        (&request["method"], &request["contentType"]),
        (&json!("POST"), &json!("application/json"))
    );
    let (timestamp, nonce) = (
        parameter(&request, "timestamp"),
        parameter(&request, "nonce"),
    );
    assert_eq!(timestamp, START.to_string());
    assert_eq!(
        parameter(&request, "signature"),
        signature(&[TOKEN, &timestamp, &nonce])
    );
    let body: Value = serde_json::from_str(&text(&request["body"])).unwrap();
    let encrypt = text(&body["Encrypt"]);
    assert_eq!(
        parameter(&request, "msg_signature"),
        signature(&[TOKEN, &timestamp, &nonce, &encrypt])
    );
    assert_eq!(
        body.as_object().unwrap().len(),
        2,
        "only ToUserName is in clear"
    );
    let plaintext = decrypted(&encrypt);
    let length = u32::from_be_bytes(plaintext[16..20].try_into().unwrap()) as usize;
    let message: Value = serde_json::from_slice(&plaintext[20..20 + length]).unwrap();
    assert_eq!(&plaintext[20 + length..], APP.as_bytes());
    let open_id = wechat.simulator.open_id("alice", None).unwrap();
    assert_eq!(
        (&message["OpenID"], &message["AppID"]),
        (&json!(open_id), &json!(APP))
    );
    assert_eq!(
        (&message["Event"], &message["RevokeInfo"]),
        (&json!("user_authorization_revoke"), &json!("8"))
    );
    assert_ne!(
        message["FromUserName"], message["OpenID"],
        "the event comes from the platform"
    );
}

#[tokio::test]
async fn a_plain_message_has_its_fields_in_clear_as_json_and_as_xml() {
    let wechat = with_push();
    let order = |format: &str| json!({"user": "alice", "message": "text", "fields": {"Content": "<hi>"}, "appId": OTHER_APP, "format": format});
    let json: Value =
        serde_json::from_str(&text(&request(&wechat, order("json")).await["body"])).unwrap();
    assert_eq!(
        (&json["MsgType"], &json["Content"]),
        (&json!("text"), &json!("<hi>"))
    );
    assert!(
        json["MsgId"].is_u64() && json.get("Encrypt").is_none(),
        "{json}"
    );
    let xml = request(&wechat, order("xml")).await;
    assert_eq!(xml["contentType"], "text/xml");
    let body = text(&xml["body"]);
    assert!(
        body.starts_with("<xml>") && body.contains("<Content><![CDATA[<hi>]]></Content>"),
        "{body}"
    );
}

#[tokio::test]
async fn a_compatible_message_is_in_clear_and_encrypted() {
    let order = json!({"user": "alice", "event": "debug_demo", "mode": "compatible"});
    let body: Value =
        serde_json::from_str(&text(&request(&with_push(), order).await["body"])).unwrap();
    assert!(
        body["Encrypt"].is_string() && body["Event"] == "debug_demo",
        "{body}"
    );
}

#[tokio::test]
async fn a_verification_is_a_signed_get_with_an_echostr() {
    let request = request(&with_push(), json!({"user": "alice", "verify": true})).await;
    assert_eq!(
        (&request["method"], &request["body"]),
        (&json!("GET"), &json!(""))
    );
    let (timestamp, nonce) = (
        parameter(&request, "timestamp"),
        parameter(&request, "nonce"),
    );
    assert_eq!(
        parameter(&request, "signature"),
        signature(&[TOKEN, &timestamp, &nonce])
    );
    assert!(parameter(&request, "echostr").parse::<u64>().is_ok());
}

#[tokio::test]
async fn a_push_is_delivered_and_the_response_returned() {
    let wechat = with_push();
    let transport: PushTransport = Arc::new(|request| {
        async move {
            PushResponse {
                status: 200,
                body: format!("{} success", request.method),
            }
        }
        .boxed()
    });
    wechat.simulator.set_transport(transport);
    let result = wechat
        .post(
            "/_control/push",
            json!({"user": "alice", "event": "debug_demo"}),
        )
        .await;
    assert_eq!(
        (&result["status"], &result["answer"]),
        (&json!(200), &json!("POST success"))
    );
}

#[tokio::test]
async fn invalid_orders_get_a_400_that_names_the_field() {
    let wechat = with_push();
    for (order, word) in [
        (json!({"user": "alice"}), "event or message"),
        (
            json!({"user": "alice", "event": "a", "message": "text"}),
            "event or message",
        ),
        (json!({"event": "a"}), "user"),
        (
            json!({"user": "alice", "event": "a", "mode": "secret"}),
            "secure",
        ),
        (
            json!({"user": "alice", "event": "a", "mode": "secure", "appId": OTHER_APP}),
            "EncodingAESKey",
        ),
        (
            json!({"user": "alice", "event": "a", "appId": "wxnone"}),
            "no such app",
        ),
        (json!({"user": "alice", "event": "a", "color": 1}), "color"),
    ] {
        let answer = wechat
            .send("POST", "/_control/push", order.to_string())
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{order}");
        let error = text(&answer.json()["error"]);
        assert!(error.contains(word), "{order}: {error}");
    }
    let unconfigured = TestSimulator::new()
        .send("POST", "/_control/push", r#"{"user":"a","event":"b"}"#)
        .await;
    assert!(text(&unconfigured.json()["error"]).contains("not configured"));
    let short = PushConfig {
        app_id: APP.into(),
        token: TOKEN.into(),
        encoding_aes_key: Some("short".into()),
    };
    assert!(wechat.simulator.configure_push([short]).is_err());
}
