//! Issues one-time codes: `wx.login` and the phone number button.

use crate::control::app_user;
use crate::control_error::ControlError;
use crate::protocol::ids;
use crate::state::State;
use crate::state::users::AppUser;

pub(crate) fn login_code(
    state: &mut State,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<String, ControlError> {
    let owner = find_active(state, now, user, app_id)?;
    let code = ids::login_code(&mut state.rng);
    state.login_codes.issue(&code, owner, now);
    Ok(code)
}

pub(crate) fn phone_code(
    state: &mut State,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<String, ControlError> {
    let owner = find_active(state, now, user, app_id)?;
    let code = ids::phone_code(&mut state.rng);
    state.phone_codes.issue(&code, owner, now);
    Ok(code)
}

/// A user that requests a code is using the mini-program.
fn find_active(
    state: &mut State,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<AppUser, ControlError> {
    let owner = app_user::find(state, user, app_id)?;
    state.sessions.touch(&owner.open_id(), now);
    Ok(owner)
}
