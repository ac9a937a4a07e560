//! What users answer when a mini-program asks whether it may send them messages.

use serde::{Deserialize, Serialize};

use crate::control::app_user;
use crate::control_error::ControlError;
use crate::protocol::ids;
use crate::state::State;

/// A user's answer to `wx.requestSubscribeMessage`, for one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionAnswer {
    /// Allows one message.
    Accept,
    /// Refuses.
    Reject,
    /// WeChat has banned the template.
    Ban,
    /// WeChat left the template out, because its title is that of another one.
    Filter,
}

pub(crate) fn answer(
    state: &mut State,
    user: &str,
    template_id: &str,
    answer: SubscriptionAnswer,
    app_id: Option<&str>,
) -> Result<(), ControlError> {
    let open_id = app_user::find(state, user, app_id)?.open_id();
    check_template(template_id)?;
    if answer == SubscriptionAnswer::Accept {
        state.subscriptions.grant(&open_id, template_id);
    }
    Ok(())
}

pub(crate) fn check_template(template_id: &str) -> Result<(), ControlError> {
    if ids::is_template_id(template_id) {
        return Ok(());
    }
    Err(ControlError::invalid(
        "templateId: 43 letters, digits, _ and -",
    ))
}
