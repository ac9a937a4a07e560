//! The control side: what happens in the phone or inside WeChat, and has no call of its own.

use serde::Deserialize;
use thiserror::Error;

use crate::codes::Owner;
use crate::ids;
use crate::sealed_data::{self, DataKind, EncryptedData, EncryptedMessage};
use crate::sessions::Session;
use crate::users::UserChange;
use crate::world::World;

const LONGEST_NAME: usize = 64;

/// A control call that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Something given is wrong; the text says what and what would be right.
    #[error("{0}")]
    Invalid(String),
    /// WeChat knows no such app, or no app at all.
    #[error("appId: no such app")]
    UnknownApp,
    /// The user has no `session_key` yet: exchange a code first.
    #[error(
        "the user has not logged in to this app yet: exchange a code at /sns/jscode2session first"
    )]
    NotLoggedIn,
}

impl ControlError {
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}

/// What WeChat does to a `session_key` without telling the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKeyAction {
    /// There is a new one, as after a wx.login that the server did not hear of.
    Rotate,
    /// It has ended.
    Expire,
}

pub(crate) fn mint_code(
    world: &mut World,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<String, ControlError> {
    let owner = present(world, now, user, app_id)?;
    let code = ids::login_code(&mut world.rng);
    world.login_codes.issue(&code, owner, now);
    Ok(code)
}

pub(crate) fn phone_code(
    world: &mut World,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<String, ControlError> {
    let owner = present(world, now, user, app_id)?;
    let code = ids::phone_code(&mut world.rng);
    world.phone_codes.issue(&code, owner, now);
    Ok(code)
}

pub(crate) fn encrypted_data(
    world: &mut World,
    now: u64,
    user: &str,
    kind: DataKind,
    app_id: Option<&str>,
) -> Result<EncryptedData, ControlError> {
    let owner = owner(world, user, app_id)?;
    let key = session(world, &owner)?.key.clone();
    let user = world.users.find(user);
    Ok(sealed_data::seal(
        kind,
        &key,
        &user,
        &owner,
        &mut world.rng,
        now,
    ))
}

pub(crate) fn encrypted_message(
    world: &mut World,
    now: u64,
    user: &str,
    text: &str,
    app_id: Option<&str>,
) -> Result<EncryptedMessage, ControlError> {
    let owner = owner(world, user, app_id)?;
    let open_id = ids::open_id(&owner.app_id, &owner.user);
    let session = world
        .sessions
        .find_mut(&open_id)
        .ok_or(ControlError::NotLoggedIn)?;
    sealed_data::seal_message(session, text, &mut world.rng, now).ok_or(ControlError::NotLoggedIn)
}

pub(crate) fn change_user(
    world: &mut World,
    user: &str,
    change: UserChange,
) -> Result<(), ControlError> {
    check_name(user)?;
    world.users.change(user, change)
}

pub(crate) fn session_key(
    world: &mut World,
    now: u64,
    user: &str,
    action: SessionKeyAction,
    app_id: Option<&str>,
) -> Result<(), ControlError> {
    let owner = owner(world, user, app_id)?;
    session(world, &owner)?;
    let open_id = ids::open_id(&owner.app_id, user);
    if let Some(session) = world.sessions.find_mut(&open_id) {
        match action {
            SessionKeyAction::Rotate => session.rotate(&mut world.rng),
            SessionKeyAction::Expire => session.expire(now),
        }
    }
    Ok(())
}

pub(crate) fn open_id(
    world: &World,
    user: &str,
    app_id: Option<&str>,
) -> Result<String, ControlError> {
    let owner = owner(world, user, app_id)?;
    Ok(ids::open_id(&owner.app_id, user))
}

/// Who asks for a code is in the mini-program right now.
fn present(
    world: &mut World,
    now: u64,
    user: &str,
    app_id: Option<&str>,
) -> Result<Owner, ControlError> {
    let owner = owner(world, user, app_id)?;
    let open_id = ids::open_id(&owner.app_id, user);
    world.sessions.touch(&open_id, now);
    Ok(owner)
}

pub(crate) fn owner(
    world: &World,
    user: &str,
    app_id: Option<&str>,
) -> Result<Owner, ControlError> {
    check_name(user)?;
    let app_id = world.apps.find(app_id).ok_or(ControlError::UnknownApp)?;
    Ok(Owner {
        app_id: app_id.to_owned(),
        user: user.to_owned(),
    })
}

fn session<'a>(world: &'a World, owner: &Owner) -> Result<&'a Session, ControlError> {
    let open_id = ids::open_id(&owner.app_id, &owner.user);
    world
        .sessions
        .find(&open_id)
        .ok_or(ControlError::NotLoggedIn)
}

fn check_name(user: &str) -> Result<(), ControlError> {
    let length = user.chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || user.chars().any(char::is_control) {
        return Err(ControlError::invalid(
            "user: 1 to 64 characters, none of them a control character",
        ));
    }
    Ok(())
}
