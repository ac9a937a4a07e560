//! Data that the phone passes to the mini-program encrypted: with the `session_key` (profile, phone
//! number, steps), or with an encryption key of `wx.getUserCryptoManager()`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::phone_number::phone_info;
use crate::control::app_user;
use crate::control_error::ControlError;
use crate::protocol::ids;
use crate::state::State;
use crate::state::users::{AppUser, User};
use crate::time::{DAY, SECOND};

/// The grey picture that all users have in `userInfo` since 2022.
const DEFAULT_AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132";

/// A kind of encrypted data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// `userInfo`, the only kind with `rawData` and its signature. It identifies the user and
    /// contains no profile: since `wx.getUserProfile` was retired in 2022, every nickname is
    /// 「微信用户」, every avatar the same grey picture, and the other fields are empty.
    UserInfo,
    /// The phone number, from the phone number button.
    Phone,
    /// 31 days of steps, from `wx.getWeRunData`.
    WeRun,
}

/// Encrypted data as the callbacks of `wx.*` deliver it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedData {
    /// The ciphertext, base64: AES-128-CBC with the `session_key`.
    pub encrypted_data: String,
    /// The initialisation vector, base64.
    pub iv: String,
    /// The fields that are not sensitive, as the exact text that was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_data: Option<String>,
    /// hex(sha1(rawData ‖ `session_key` as base64)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A text that a mini-program encrypted with the key and the IV of
/// `wx.getUserCryptoManager().getLatestUserKey()`, by AES-128-CBC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedMessage {
    /// The ciphertext, base64.
    pub encrypted_data: String,
    /// The version of the encryption key.
    pub version: u32,
}

pub(crate) fn encrypted_data(
    state: &mut State,
    now: u64,
    user: &str,
    kind: DataKind,
    app_id: Option<&str>,
) -> Result<EncryptedData, ControlError> {
    let owner = app_user::find(state, user, app_id)?;
    let session = state.sessions.find(&owner.open_id());
    let key = &session.ok_or(ControlError::NotLoggedIn)?.key;
    let user = state.users.find(user);
    let (plaintext, raw_data) = match kind {
        DataKind::UserInfo => user_info(&user, &owner, now),
        DataKind::Phone => (phone_info(&user, &owner, now), None),
        DataKind::WeRun => (we_run(&owner, now), None),
    };
    let iv = state.rng.random();
    let raw_data = raw_data.map(|raw| raw.to_string());
    Ok(EncryptedData {
        encrypted_data: key.encrypt(iv, plaintext.to_string().as_bytes()),
        iv: STANDARD.encode(iv),
        signature: raw_data.as_deref().map(|raw| key.sign_raw_data(raw)),
        raw_data,
    })
}

pub(crate) fn encrypted_message(
    state: &mut State,
    now: u64,
    user: &str,
    text: &str,
    app_id: Option<&str>,
) -> Result<EncryptedMessage, ControlError> {
    let open_id = app_user::find(state, user, app_id)?.open_id();
    let session = state
        .sessions
        .find_mut(&open_id)
        .ok_or(ControlError::NotLoggedIn)?;
    let keys = session.encrypt_keys(&mut state.rng, now);
    let latest = keys.first().ok_or(ControlError::NotLoggedIn)?;
    Ok(EncryptedMessage {
        encrypted_data: latest.key.encrypt(latest.iv, text.as_bytes()),
        version: latest.version,
    })
}

/// The plaintext, and the part of it that is `rawData`.
fn user_info(user: &User, owner: &AppUser, now: u64) -> (Value, Option<Value>) {
    let raw = json!({
        "nickName": "微信用户",
        "gender": 0,
        "language": "",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": DEFAULT_AVATAR,
    });
    let mut full = raw.clone();
    full["openId"] = owner.open_id().into();
    if let Some(union_id) = &user.union_id {
        full["unionId"] = union_id.as_str().into();
    }
    full["watermark"] = owner.watermark(now);
    (full, Some(raw))
}

fn we_run(owner: &AppUser, now: u64) -> Value {
    let today = now / DAY;
    let days = today.saturating_sub(30)..=today;
    let list: Vec<Value> = days
        .map(|day| json!({"timestamp": day * DAY / SECOND, "step": ids::steps(&owner.user, day)}))
        .collect();
    json!({"stepInfoList": list, "watermark": owner.watermark(now)})
}
