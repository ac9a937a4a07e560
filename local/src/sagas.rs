//! `local sagas`: continues the deletions and merges of accounts that stopped half-way.

use shared::{
    accounts::AccountSagas,
    clock::Clock,
    config::Env,
    instance::Instance,
    random::Random,
    saga::{Entry, Progress, SagaError},
};

use crate::on_table::on_table;

/// How many are continued at once; the next call continues the others.
const MOST: u16 = 1000;

/// Continues every saga that has not ended, and returns a line about each: its id, what it does, since
/// when, and how far it has come. Can be repeated.
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
    let (log, sagas) = (instance.sagas(), instance.account_sagas());
    let env = instance.env();
    env.validate().map_err(|errors| errors.to_string())?;
    instance.connect().await;
    let unfinished = log.unfinished(MOST).await;
    let mut lines = Vec::new();
    for saga in unfinished.map_err(|error| error.to_string())? {
        lines.push(resume(&sagas, &saga).await);
    }
    Ok(lines)
}

async fn resume(sagas: &AccountSagas, saga: &Entry) -> String {
    let outcome = match sagas.resume(&saga.id).await {
        Ok(Progress::Done) => "done".to_owned(),
        Ok(Progress::Undone) => "undone".to_owned(),
        Ok(Progress::Waiting(until)) => format!("waits until {until}"),
        Ok(Progress::Unfinished) => "another process has it".to_owned(),
        Err(SagaError::NotFound) => "of a kind that this version does not know".to_owned(),
        Err(error) => format!("failed: {error}"),
    };
    format!(
        "{} {} since {}: {outcome}",
        saga.id, saga.kind, saga.created_at
    )
}
