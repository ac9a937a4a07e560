//! `local admin ID`: makes a user an administrator.
//!
//! There is no open endpoint for this: an operator who can write the table makes the first one.

use shared::{clock::Clock, config::Env, ids::UserId, instance::Instance, random::Random};

use crate::on_table::on_table;

/// Gives the role `admin` to the user with the id `user`, and forgets their cached profile. Can be
/// repeated. The log gets an audit line, unless the user has the role already.
///
/// The table is the one that the settings name. Where they name neither a DynamoDB nor a region it is
/// that of `make run`, running or not.
///
/// # Errors
/// A text for the user: not a user id, no such user, invalid settings, or a store is unavailable.
pub async fn make_administrator(env: Env, user: &str) -> Result<(), String> {
    let id: UserId = user
        .parse()
        .map_err(|_| format!("{user:?} is not a user id; usage: make admin ID=<user id>"))?;
    on_table(env, |env| grant(env, id)).await
}

async fn grant(env: Env, id: UserId) -> Result<(), String> {
    let instance = Instance::new(env, Clock::System, Random::System);
    let users = instance.managed_users();
    let env = instance.env();
    env.validate().map_err(|errors| errors.to_string())?;
    instance.connect().await;
    let made = users.make_administrator(id).await;
    made.map_err(|error| error.to_string())
}
