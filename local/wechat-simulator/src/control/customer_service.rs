//! A user opens customer service, or writes to it: WeChat allows replies, and pushes what happened.

use serde_json::{Map, Value, json};

use crate::control::app_user;
use crate::control::push::{self, ENTER, PushOrder};
use crate::control_error::ControlError;
use crate::protocol::push::PushRequest;
use crate::state::State;
use crate::state::reply_windows::Contact;

/// With a text the user writes it, without one the user only opens customer service. Returns the push, where
/// message push is configured for the app.
pub(crate) fn contact(
    state: &mut State,
    now: u64,
    user: &str,
    text: Option<&str>,
    app_id: Option<&str>,
) -> Result<Option<PushRequest>, ControlError> {
    let owner = app_user::find(state, user, app_id)?;
    let contact = text.map_or(Contact::Enter, |_| Contact::Message);
    let open_id = owner.open_id();
    state.reply_windows.open(&open_id, contact, now);
    state.sessions.touch(&open_id, now);
    let mut configs = state.push_configs.iter();
    if !configs.any(|config| config.app_id == owner.app_id) {
        return Ok(None);
    }
    let order = PushOrder {
        user: user.to_owned(),
        app_id: Some(owner.app_id),
        event: text.is_none().then(|| ENTER.to_owned()),
        message: text.map(|_| "text".to_owned()),
        fields: fields(text),
        ..PushOrder::default()
    };
    push::request(state, now, &order).map(Some)
}

fn fields(text: Option<&str>) -> Map<String, Value> {
    let (name, value) = match text {
        Some(text) => ("Content", json!(text)),
        None => ("SessionFrom", json!("")),
    };
    [(name.to_owned(), value)].into_iter().collect()
}
