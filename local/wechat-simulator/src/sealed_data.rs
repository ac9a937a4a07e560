//! What the phone hands over sealed with the `session_key`: profile, phone number, steps.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::codes::Owner;
use crate::crypto::SessionKey;
use crate::ids;
use crate::limits::{DAY, SECOND};
use crate::phone::phone_info;
use crate::sessions::Session;
use crate::users::User;

/// Which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// The profile of `wx.getUserProfile`; the only kind with `rawData` and its signature.
    UserInfo,
    /// The phone number of the button that shares it.
    Phone,
    /// 31 days of steps, as of `wx.getWeRunData`.
    WeRun,
}

/// As the phone's callbacks deliver it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedData {
    /// The ciphertext, base64.
    pub encrypted_data: String,
    /// The initialisation vector, base64.
    pub iv: String,
    /// The data that is not secret, as the exact text that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_data: Option<String>,
    /// hex(sha1(rawData ‖ `session_key` as text)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What a mini-program makes with `wx.getUserCryptoManager().getLatestUserKey()`: AES-128-CBC under
/// that key and its IV.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedMessage {
    /// The ciphertext, base64.
    pub encrypted_data: String,
    /// Which key it was.
    pub version: u32,
}

pub(crate) fn seal_message(
    session: &mut Session,
    text: &str,
    rng: &mut StdRng,
    now: u64,
) -> Option<EncryptedMessage> {
    let key = session.encrypt_keys(rng, now).first()?;
    let iv = key.iv.as_bytes().try_into().ok()?;
    Some(EncryptedMessage {
        encrypted_data: key.key.seal(iv, text.as_bytes()),
        version: key.version,
    })
}

pub(crate) fn seal(
    kind: DataKind,
    key: &SessionKey,
    user: &User,
    owner: &Owner,
    rng: &mut StdRng,
    now: u64,
) -> EncryptedData {
    let (plaintext, raw_data) = match kind {
        DataKind::UserInfo => user_info(user, owner, now),
        DataKind::Phone => (phone_info(user, owner, now), None),
        DataKind::WeRun => (we_run(owner, now), None),
    };
    let iv = rng.random();
    let raw_data = raw_data.map(|raw| raw.to_string());
    EncryptedData {
        encrypted_data: key.seal(iv, plaintext.to_string().as_bytes()),
        iv: STANDARD.encode(iv),
        signature: raw_data.as_deref().map(|raw| key.sign_raw_data(raw)),
        raw_data,
    }
}

fn user_info(user: &User, owner: &Owner, now: u64) -> (Value, Option<Value>) {
    let raw = json!({
        "nickName": owner.user,
        "gender": 0,
        "language": "zh_CN",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": "https://thirdwx.qlogo.cn/mmopen/vi_32/simulated/132",
    });
    let mut full = raw.clone();
    full["openId"] = ids::open_id(&owner.app_id, &owner.user).into();
    if let Some(union_id) = &user.union_id {
        full["unionId"] = union_id.as_str().into();
    }
    full["watermark"] = watermark(owner, now);
    (full, Some(raw))
}

fn we_run(owner: &Owner, now: u64) -> Value {
    let today = now / DAY;
    let days = today.saturating_sub(30)..=today;
    let list: Vec<Value> = days
        .map(|day| json!({"timestamp": day * DAY / SECOND, "step": ids::steps(&owner.user, day)}))
        .collect();
    json!({"stepInfoList": list, "watermark": watermark(owner, now)})
}

fn watermark(owner: &Owner, now: u64) -> Value {
    json!({"timestamp": now / SECOND, "appid": owner.app_id})
}
