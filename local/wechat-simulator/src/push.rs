//! Message push: what WeChat sends to the server, signed and, in the secure mode, encrypted.
//!
//! Source: developers.weixin.qq.com, "server-ability/message-push".

use std::fmt;
use std::sync::Arc;

use aes::Aes256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use futures_util::future::BoxFuture;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::control::{ControlError, owner};
use crate::ids;
use crate::limits::SECOND;
use crate::world::World;

/// What a mini-program's console holds for message push.
#[derive(Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// The mini-program.
    pub app_id: String,
    /// Signs.
    pub token: String,
    /// 43 letters and digits; without it there is no secure mode.
    pub encoding_aes_key: Option<String>,
}

/// What is to be pushed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PushOrder {
    /// Who it is about or from.
    pub user: String,
    /// For which mini-program; the first when not said.
    pub app_id: Option<String>,
    /// The event, e.g. `user_authorization_revoke`.
    pub event: Option<String>,
    /// Instead of an event: the type of a message, e.g. `text`.
    pub message: Option<String>,
    /// More fields, or others than those that are made up.
    pub fields: Map<String, Value>,
    /// The secure mode when not said and there is a key, else the plain one.
    pub mode: Option<PushMode>,
    /// JSON when not said.
    pub format: PushFormat,
    /// No message, but the question whether the URL knows the token.
    pub verify: bool,
}

/// How the console says that messages are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushMode {
    /// 明文模式
    Plain,
    /// 兼容模式: both.
    Compatible,
    /// 安全模式
    Secure,
}

/// How the console says that messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushFormat {
    /// JSON.
    #[default]
    Json,
    /// XML.
    Xml,
}

/// A request to the callback URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// What comes after the URL's question mark.
    pub query: String,
    /// Empty for a `GET`.
    pub content_type: &'static str,
    /// The message.
    pub body: String,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushAnswer {
    /// HTTP status.
    pub status: u16,
    /// `success`, if all went well.
    pub answer: String,
}

impl fmt::Debug for PushConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConfig")
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// Brings a request to the callback URL.
pub type Courier = Arc<dyn Fn(PushRequest) -> BoxFuture<'static, PushAnswer> + Send + Sync>;

/// Refuses what the console would refuse.
pub(crate) fn check(config: &PushConfig) -> Result<(), ControlError> {
    let is_key = |key: &String| key.len() == 43 && aes_key(key).is_some();
    if config.encoding_aes_key.as_ref().is_none_or(is_key) {
        return Ok(());
    }
    Err(ControlError::invalid(
        "encodingAesKey: 43 letters and digits",
    ))
}

pub(crate) fn request(
    world: &mut World,
    now: u64,
    order: &PushOrder,
) -> Result<PushRequest, ControlError> {
    let owner = owner(world, &order.user, order.app_id.as_deref())?;
    let config = world
        .pushes
        .iter()
        .find(|config| config.app_id == owner.app_id)
        .cloned();
    let config = config
        .ok_or_else(|| ControlError::invalid("message push is not configured for this app"))?;
    let stamp = Stamp {
        timestamp: (now / SECOND).to_string(),
        nonce: world.rng.random_range(1..u32::MAX).to_string(),
    };
    let query = stamp.query(&config.token);
    if order.verify {
        let echo: u64 = world.rng.random();
        let query = format!("{query}&echostr={echo}");
        return Ok(PushRequest {
            method: "GET",
            query,
            content_type: "",
            body: String::new(),
        });
    }
    let open_id = ids::open_id(&owner.app_id, &owner.user);
    let mut query = format!("{query}&openid={open_id}");
    let plain = message(world, now, order, &owner.app_id, &open_id)?;
    let mode = order.mode.unwrap_or(if config.encoding_aes_key.is_some() {
        PushMode::Secure
    } else {
        PushMode::Plain
    });
    let fields = match mode {
        PushMode::Plain => plain,
        PushMode::Compatible | PushMode::Secure => {
            let text = order.format.write(&plain);
            let encrypt = config.seal(&text, world.rng.random())?;
            let signature = stamp.sign(&config.token, Some(&encrypt));
            query.extend(["&encrypt_type=aes&msg_signature=", &signature]);
            let mut fields = plain;
            if mode == PushMode::Secure {
                fields.retain(|name, _| name == "ToUserName");
            }
            fields.insert("Encrypt".to_owned(), encrypt.into());
            fields
        }
    };
    let body = order.format.write(&fields);
    Ok(PushRequest {
        method: "POST",
        query,
        content_type: order.format.content_type(),
        body,
    })
}

/// The fields of a message or an event.
fn message(
    world: &mut World,
    now: u64,
    order: &PushOrder,
    app_id: &str,
    open_id: &str,
) -> Result<Map<String, Value>, ControlError> {
    let created = now / SECOND;
    let mut fields = match (&order.event, &order.message) {
        // The platform itself speaks of the user.
        (Some(event), None) if event.starts_with("user_") => json!({
            "FromUserName": ids::open_id(app_id, "the platform"), "MsgType": "event", "Event": event,
            "OpenID": open_id, "AppID": app_id,
        }),
        (Some(event), None) => json!({"FromUserName": open_id, "MsgType": "event", "Event": event}),
        (None, Some(kind)) => {
            json!({"FromUserName": open_id, "MsgType": kind, "MsgId": world.rng.random::<u64>() >> 1})
        }
        _ => {
            return Err(ControlError::invalid(
                "event or message: exactly one of them is needed",
            ));
        }
    };
    fields["ToUserName"] = "gh_0000000000a1".into();
    fields["CreateTime"] = created.into();
    let Value::Object(mut fields) = fields else {
        return Ok(Map::new());
    };
    fields.extend(order.fields.clone());
    Ok(fields)
}

/// What every request is signed over.
struct Stamp {
    timestamp: String,
    nonce: String,
}

impl Stamp {
    fn query(&self, token: &str) -> String {
        format!(
            "signature={}&timestamp={}&nonce={}",
            self.sign(token, None),
            self.timestamp,
            self.nonce
        )
    }

    fn sign(&self, token: &str, encrypt: Option<&str>) -> String {
        let mut parts: Vec<&str> = [token, &self.timestamp, &self.nonce]
            .into_iter()
            .chain(encrypt)
            .collect();
        parts.sort_unstable();
        hex::encode(Sha1::digest(parts.concat()))
    }
}

impl PushConfig {
    /// 16 random bytes ‖ length ‖ message ‖ appid, padded to 32, AES-256-CBC with the key's first
    /// half as IV.
    fn seal(&self, message: &str, random: [u8; 16]) -> Result<String, ControlError> {
        let no_key = || ControlError::invalid("mode: this app has no EncodingAESKey");
        let key = self
            .encoding_aes_key
            .as_deref()
            .and_then(aes_key)
            .ok_or_else(no_key)?;
        let length =
            u32::try_from(message.len()).map_err(|_| ControlError::invalid("fields: too long"))?;
        let mut bytes = Vec::from(random);
        bytes.extend(length.to_be_bytes());
        bytes.extend(message.as_bytes());
        bytes.extend(self.app_id.as_bytes());
        let fill = 32 - bytes.len() % 32;
        bytes.extend(std::iter::repeat_n(
            u8::try_from(fill).unwrap_or_default(),
            fill,
        ));
        let mut iv = [0; 16];
        iv.copy_from_slice(&key[..16]);
        let cipher = cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into());
        Ok(STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&bytes)))
    }
}

/// Base64 of 43 digits and one that is left out; its last digit is not held to be a multiple of
/// four.
fn aes_key(text: &str) -> Option<[u8; 32]> {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let lenient = GeneralPurpose::new(&alphabet::STANDARD, config);
    lenient.decode(format!("{text}=")).ok()?.try_into().ok()
}

impl PushFormat {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }

    fn write(self, fields: &Map<String, Value>) -> String {
        match self {
            Self::Json => Value::Object(fields.clone()).to_string(),
            Self::Xml => {
                let mut text = String::from("<xml>");
                write_elements(fields, &mut text);
                text + "</xml>"
            }
        }
    }
}

/// A list is its element again and again.
fn write_elements(fields: &Map<String, Value>, out: &mut String) {
    for (name, value) in fields {
        let one = std::slice::from_ref(value);
        for value in value.as_array().map_or(one, Vec::as_slice) {
            out.extend(["<", name, ">"]);
            match value {
                Value::String(text) => {
                    out.extend(["<![CDATA[", &text.replace("]]>", "]]]]><![CDATA[>"), "]]>"]);
                }
                Value::Object(fields) => write_elements(fields, out),
                other => out.push_str(&other.to_string()),
            }
            out.extend(["</", name, ">"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Value {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/data/vectors.json")).unwrap();
        vectors["message_push"].clone()
    }

    fn text(value: &Value, name: &str) -> String {
        value[name].as_str().unwrap().to_owned()
    }

    fn config(sample: &Value) -> PushConfig {
        let key = sample["EncodingAESKey"].as_str().map(str::to_owned);
        PushConfig {
            app_id: text(sample, "appid"),
            token: text(sample, "token"),
            encoding_aes_key: key,
        }
    }

    #[test]
    fn signing_gives_what_wechats_own_samples_hold() {
        let samples = vectors();
        let sample = &samples["verification"];
        let stamp = Stamp {
            timestamp: text(sample, "timestamp"),
            nonce: text(sample, "nonce"),
        };
        assert_eq!(
            stamp.sign(&text(sample, "token"), None),
            text(sample, "signature")
        );
        let sample = &samples["secure"];
        let stamp = Stamp {
            timestamp: text(sample, "timestamp"),
            nonce: text(sample, "nonce"),
        };
        assert_eq!(
            stamp.sign(&text(sample, "token"), Some(&text(sample, "Encrypt"))),
            text(sample, "msg_signature")
        );
    }

    #[test]
    fn sealing_gives_what_wechats_own_sample_holds() {
        let samples = vectors();
        let sample = &samples["secure"];
        let random = text(sample, "random").as_bytes().try_into().unwrap();
        assert_eq!(
            config(sample).seal(&text(sample, "msg"), random).unwrap(),
            text(sample, "Encrypt")
        );
    }

    #[test]
    fn a_key_need_not_end_in_zero_bits() {
        assert!(aes_key("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").is_some());
        assert!(aes_key("abc").is_none());
    }

    #[test]
    fn xml_holds_any_text() {
        let fields = json!({"a": "x]]>y", "n": [7, 8], "o": {"b": "z"}});
        let written = PushFormat::Xml.write(fields.as_object().unwrap());
        assert_eq!(
            written,
            "<xml><a><![CDATA[x]]]]><![CDATA[>y]]></a><n>7</n><n>8</n><o><b><![CDATA[z]]></b></o></xml>"
        );
    }
}
