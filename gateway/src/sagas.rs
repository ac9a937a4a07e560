//! Continues the deletions and merges of accounts that stopped half-way.

use std::time::Duration;

use shared::{
    accounts::AccountSagas,
    instance::Instance,
    request::deadline,
    saga::{Entry, Progress, SagaError},
};
use tokio::time::Instant;

/// How many are continued at once; the next call continues the others.
const MOST: u16 = 1000;
/// How long one is worked on before the others have their turn.
const SLICE: Duration = Duration::from_secs(10);

/// Continues every saga that has not ended, and returns a line about each: its id, what it does, since
/// when, and how far it has come. One that another process has is left to it. Can be repeated.
///
/// # Errors
/// A text for the user: a store is unavailable. Those that were continued before are.
pub async fn resume_sagas(instance: &Instance) -> Result<Vec<String>, String> {
    let (log, sagas) = (instance.sagas(), instance.account_sagas());
    let unfinished = log.unfinished(MOST).await;
    let unfinished = unfinished.map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for saga in &unfinished {
        lines.push(resume(&sagas, saga).await);
    }
    Ok(lines)
}

async fn resume(sagas: &AccountSagas, saga: &Entry) -> String {
    let end = Instant::now() + SLICE;
    let outcome = match deadline::scope(Some(end), sagas.resume(&saga.id)).await {
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
