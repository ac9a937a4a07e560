//! Message push: builds the requests that WeChat would send to the callback URL.

use rand::RngExt as _;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::control::app_user;
use crate::control_error::ControlError;
use crate::protocol::ids;
use crate::protocol::push::{PushConfig, PushMode, PushRequest};
use crate::protocol::push_crypto::{self, PushSigner, decode_aes_key};
use crate::protocol::push_format::PushFormat;
use crate::state::State;
use crate::state::reply_windows::Contact;
use crate::state::users::AppUser;
use crate::time::SECOND;

/// The event of a user who opens customer service.
pub(crate) const ENTER: &str = "user_enter_tempsession";

/// The fields of a message or an event.
type Fields = Map<String, Value>;

/// A message, an event or a verification to push.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PushOrder {
    /// The user that an event is about, or that a message is from.
    pub user: String,
    /// The mini-program. Default: the first one.
    pub app_id: Option<String>,
    /// The event, e.g. `user_authorization_revoke`.
    pub event: Option<String>,
    /// Instead of an event: the type of a message, e.g. `text`.
    pub message: Option<String>,
    /// Fields to add, or to put in place of generated ones.
    pub fields: Map<String, Value>,
    /// Default: secure when the app has a key, otherwise plain.
    pub mode: Option<PushMode>,
    /// Default: JSON.
    pub format: PushFormat,
    /// Sends WeChat's verification of the callback URL instead: a `GET` with an `echostr`.
    pub verify: bool,
}

/// The request for an order.
pub(crate) fn request(
    state: &mut State,
    now: u64,
    order: &PushOrder,
) -> Result<PushRequest, ControlError> {
    let user = app_user::find(state, &order.user, order.app_id.as_deref())?;
    let config = config_of(state, &user.app_id)?;
    let signer = PushSigner {
        timestamp: (now / SECOND).to_string(),
        nonce: state.rng.random_range(1..u32::MAX).to_string(),
    };
    let query = signer.query(&config.token);
    if order.verify {
        return Ok(verification(&query, state.rng.random()));
    }
    let mut query = format!("{query}&openid={}", user.open_id());
    let mut fields = message(state, now, order, &user)?;
    if let Some(contact) = contact(order) {
        state.reply_windows.open(&user.open_id(), contact, now);
    }
    let mode = order.mode.unwrap_or_else(|| default_mode(&config));
    if mode != PushMode::Plain {
        let random = state.rng.random();
        let ciphertext = encrypt(&config, &order.format.write(&fields), random)?;
        let signature = signer.sign(&config.token, Some(&ciphertext));
        query.extend(["&encrypt_type=aes&msg_signature=", &signature]);
        if mode == PushMode::Secure {
            fields.retain(|name, _| name == "ToUserName");
        }
        fields.insert("Encrypt".to_owned(), ciphertext.into());
    }
    Ok(PushRequest {
        method: "POST",
        query,
        content_type: order.format.content_type(),
        body: order.format.write(&fields),
    })
}

/// Messages go to customer service.
fn contact(order: &PushOrder) -> Option<Contact> {
    match &order.event {
        Some(event) if event == ENTER => Some(Contact::Enter),
        Some(_) => None,
        None => order.message.as_ref().map(|_| Contact::Message),
    }
}

fn config_of(state: &State, app_id: &str) -> Result<PushConfig, ControlError> {
    state
        .push_configs
        .iter()
        .find(|config| config.app_id == app_id)
        .cloned()
        .ok_or_else(|| ControlError::invalid("message push is not configured for this app"))
}

fn verification(query: &str, echo: u64) -> PushRequest {
    PushRequest {
        method: "GET",
        query: format!("{query}&echostr={echo}"),
        content_type: "",
        body: String::new(),
    }
}

const fn default_mode(config: &PushConfig) -> PushMode {
    if config.encoding_aes_key.is_some() {
        PushMode::Secure
    } else {
        PushMode::Plain
    }
}

fn encrypt(config: &PushConfig, message: &str, random: [u8; 16]) -> Result<String, ControlError> {
    let key = config.encoding_aes_key.as_deref().and_then(decode_aes_key);
    let key = key.ok_or_else(|| ControlError::invalid("mode: this app has no EncodingAESKey"))?;
    push_crypto::encrypt(&key, &config.app_id, message, random)
        .ok_or_else(|| ControlError::invalid("fields: too long"))
}

fn message(
    state: &mut State,
    now: u64,
    order: &PushOrder,
    user: &AppUser,
) -> Result<Fields, ControlError> {
    let mut fields = match (&order.event, &order.message) {
        (Some(event), None) => event_fields(event, user),
        (None, Some(kind)) => fields([
            ("FromUserName", user.open_id().into()),
            ("MsgType", kind.as_str().into()),
            ("MsgId", (state.rng.random::<u64>() >> 1).into()),
        ]),
        _ => {
            return Err(ControlError::invalid(
                "event or message: exactly one of them is needed",
            ));
        }
    };
    fields.insert("ToUserName".to_owned(), "gh_0000000000a1".into());
    fields.insert("CreateTime".to_owned(), (now / SECOND).into());
    fields.extend(order.fields.clone());
    Ok(fields)
}

/// Events named `user_*` come from the platform and name the user in a field of their own; all
/// others, and [`ENTER`], come from the user.
fn event_fields(event: &str, user: &AppUser) -> Fields {
    let open_id = user.open_id();
    if event.starts_with("user_") && event != ENTER {
        fields([
            (
                "FromUserName",
                ids::open_id(&user.app_id, "the platform").into(),
            ),
            ("MsgType", "event".into()),
            ("Event", event.into()),
            ("OpenID", open_id.into()),
            ("AppID", user.app_id.as_str().into()),
        ])
    } else {
        fields([
            ("FromUserName", open_id.into()),
            ("MsgType", "event".into()),
            ("Event", event.into()),
        ])
    }
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    let owned = pairs.map(|(name, value)| (name.to_owned(), value));
    owned.into_iter().collect()
}
