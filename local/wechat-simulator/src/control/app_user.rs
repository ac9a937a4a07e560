//! Finds users, and changes their attributes.

use crate::control_error::ControlError;
use crate::state::State;
use crate::state::users::{AppUser, UserChange};

const MAX_NAME_CHARS: usize = 64;

/// The user in the named app, or in the first one.
pub(crate) fn find(
    state: &State,
    user: &str,
    app_id: Option<&str>,
) -> Result<AppUser, ControlError> {
    check_name(user)?;
    let app_id = state.apps.find(app_id).ok_or(ControlError::UnknownApp)?;
    Ok(AppUser {
        app_id: app_id.to_owned(),
        user: user.to_owned(),
    })
}

pub(crate) fn change(
    state: &mut State,
    user: &str,
    change: UserChange,
) -> Result<(), ControlError> {
    check_name(user)?;
    state.users.change(user, change)
}

fn check_name(user: &str) -> Result<(), ControlError> {
    let length = user.chars().count();
    if !(1..=MAX_NAME_CHARS).contains(&length) || user.chars().any(char::is_control) {
        return Err(ControlError::invalid(
            "user: 1 to 64 characters, none of them a control character",
        ));
    }
    Ok(())
}
