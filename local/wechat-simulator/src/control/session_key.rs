//! Changes a `session_key` inside WeChat.

use serde::Deserialize;

use crate::control::app_user;
use crate::control_error::ControlError;
use crate::state::State;

/// What WeChat does to a `session_key` without notifying the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKeyAction {
    /// Replaces it, as after a `wx.login` whose code the server has not exchanged.
    Rotate,
    /// Expires it now.
    Expire,
}

pub(crate) fn apply(
    state: &mut State,
    now: u64,
    user: &str,
    action: SessionKeyAction,
    app_id: Option<&str>,
) -> Result<(), ControlError> {
    let open_id = app_user::find(state, user, app_id)?.open_id();
    let session = state
        .sessions
        .find_mut(&open_id)
        .ok_or(ControlError::NotLoggedIn)?;
    match action {
        SessionKeyAction::Rotate => session.rotate(&mut state.rng),
        SessionKeyAction::Expire => session.expire(now),
    }
    Ok(())
}
