//! `local sagas`: continues the deletions and merges of accounts that stopped half-way.

use shared::{clock::Clock, config::Env, instance::Instance, random::Random};

use crate::on_table::on_table;

/// Continues every saga that has not ended ([`gateway::resume_sagas`]).
///
/// The table is the one that the settings name. Where they name neither a DynamoDB nor a region it is
/// that of `make run`, running or not.
///
/// # Errors
/// A text for the user: invalid settings, or a store is unavailable. Those that were continued before
/// are.
pub async fn resume_sagas(env: Env) -> Result<Vec<String>, String> {
    on_table(env, resume_all).await
}

async fn resume_all(env: Env) -> Result<Vec<String>, String> {
    let instance = Instance::new(env, Clock::System, Random::System);
    let _ = (instance.sagas(), instance.account_sagas());
    let env = instance.env();
    env.validate().map_err(|errors| errors.to_string())?;
    instance.connect().await;
    ::gateway::resume_sagas(&instance).await
}
