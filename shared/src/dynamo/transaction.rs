//! Transactions of several writes, and retries after throttling and conflicts.

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::transact_write_items::{
        TransactWriteItems, TransactWriteItemsError, TransactWriteItemsInput,
        TransactWriteItemsOutput,
    },
    types::CancellationReason,
};
use tokio::time::{Instant, sleep};

use super::{
    ATTEMPTS, Dynamo, DynamoError, FIRST_PAUSE, LONGEST_PAUSE, UPSTREAM, Write, error,
    failure::Failure, sender::OperationFailure,
};
use crate::{request::deadline, resilience::backoff::Backoff, telemetry::metrics};

/// Pauses after a throttled transaction: those of other throttled calls. The sender does not repeat
/// a cancelled transaction, because it can't tell why it was cancelled.
const THROTTLED: Backoff = Backoff::for_overload(FIRST_PAUSE, LONGEST_PAUSE);
/// Attempts after the first one.
const RETRIES: usize = ATTEMPTS as usize - 1;

/// Pauses after a conflict with another writer. A transaction takes milliseconds; the longest pause
/// is for dozens of writers that race for one row, of which one wins each time.
const RACED: Backoff = Backoff::for_conflicts(Duration::from_millis(5), Duration::from_millis(320));
/// How long to look again after conflicts, if the request has that long.
const CONTENTION: Duration = Duration::from_secs(5);

/// The error code of a transaction that is still being carried out.
const IN_PROGRESS: &str = "TransactionInProgressException";

/// Reason codes of a throttled write.
const THROTTLING: [&str; 2] = ["ThrottlingError", "ProvisionedThroughputExceeded"];

/// The outcome of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// Everything was written.
    Written,
    /// The conditions of the writes at these positions (the first one is 0) did not hold, and
    /// nothing was written.
    ConditionFailed(Vec<usize>),
}

/// Why a transaction is not written, grouped by how the caller reacts.
#[derive(Debug, PartialEq, Eq)]
enum Cancellation {
    ConditionFailed(Vec<usize>),
    /// Another transaction was writing one of the rows.
    Conflict,
    /// Not cancelled, but still being carried out: its first answer was lost, and it was sent again.
    InProgress,
    /// Some writes were throttled, and no other reason was given.
    Throttled(String),
    /// Anything else, such as an item collection that has grown too large.
    Other(String),
}

impl Dynamo {
    /// Writes all or nothing. A transaction that is cancelled by throttling is sent again, within
    /// the request's deadline. All attempts have the same idempotency token, so that it is executed
    /// once; and one that is still being carried out is asked for with it until it has an outcome.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when another transaction is writing one of the rows: nothing was
    /// written. Otherwise DynamoDB's error; after [`DynamoError::Unavailable`] it can have been written.
    pub async fn transact(&self, writes: Vec<Write>) -> Result<TransactionOutcome, DynamoError> {
        let items = writes
            .into_iter()
            .map(|write| write.into_item(&self.table))
            .collect::<Result<Vec<_>, _>>()?;
        let transaction = TransactWriteItemsInput::builder()
            .set_transact_items(Some(items))
            .client_request_token(hex::encode(self.random.bytes::<16>()))
            .build()?;
        let transaction = self.sender.call::<TransactWriteItems>(transaction)?;
        let end = Instant::now() + deadline::cap(CONTENTION);
        let mut pauses = THROTTLED.pauses(&self.random).take(RETRIES);
        let mut waits = RACED.pauses(&self.random);
        loop {
            let Some(cancellation) = cancellation(transaction.send().await)? else {
                return Ok(TransactionOutcome::Written);
            };
            match cancellation {
                Cancellation::ConditionFailed(positions) => {
                    return Ok(TransactionOutcome::ConditionFailed(positions));
                }
                Cancellation::Conflict => return Err(DynamoError::Conflict),
                Cancellation::Throttled(reasons) => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(DynamoError::Unavailable(reasons)),
                },
                Cancellation::InProgress => match waits.next() {
                    Some(wait) if Instant::now() + wait < end => sleep(wait).await,
                    _ => return Err(DynamoError::Unavailable(IN_PROGRESS.to_owned())),
                },
                Cancellation::Other(reasons) => return Err(DynamoError::Unavailable(reasons)),
            }
            metrics::retry(UPSTREAM);
        }
    }

    /// Runs `attempt`, and repeats it after a conflict, for up to five seconds within the request's
    /// deadline. Each attempt has to read again the rows that it decides by.
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn retry_conflicts<T, E, F>(
        &self,
        mut attempt: impl FnMut() -> F,
        is_conflict: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let end = Instant::now() + deadline::cap(CONTENTION);
        let mut pauses = RACED.pauses(&self.random);
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) if is_conflict(&error) => error,
                Err(error) => return Err(error),
            };
            match pauses.next() {
                Some(pause) if Instant::now() + pause < end => sleep(pause).await,
                _ => return Err(error),
            }
        }
    }
}

/// Why a transaction was cancelled or has no outcome yet, if it is not written.
fn cancellation(
    outcome: Result<TransactWriteItemsOutput, OperationFailure<TransactWriteItems>>,
) -> Result<Option<Cancellation>, DynamoError> {
    let Err(failure) = outcome else {
        return Ok(None);
    };
    let Failure::Service { error, .. } = &failure else {
        return Err(failure.into());
    };
    match &**error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let cancellation = Cancellation::read(cancelled.cancellation_reasons());
            if let Cancellation::Throttled(_) | Cancellation::Other(_) = cancellation {
                error::count("TransactionCanceledException");
            }
            Ok(Some(cancellation))
        }
        TransactWriteItemsError::TransactionInProgressException(_) => {
            error::count(IN_PROGRESS);
            Ok(Some(Cancellation::InProgress))
        }
        _ => Err(failure.into()),
    }
}

impl Cancellation {
    /// `reasons` has one entry per write, in order; the code `None` means that this write did not
    /// cause the cancellation
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html>).
    /// A condition that failed counts first: another attempt would not change it.
    fn read(reasons: &[CancellationReason]) -> Self {
        let codes: Vec<_> = reasons
            .iter()
            .map(|reason| reason.code().unwrap_or("None"))
            .collect();
        let failed: Vec<_> = positions(&codes, "ConditionalCheckFailed").collect();
        if !failed.is_empty() {
            return Self::ConditionFailed(failed);
        }
        if codes.contains(&"TransactionConflict") {
            return Self::Conflict;
        }
        let blamed: Vec<_> = codes.into_iter().filter(|code| *code != "None").collect();
        let text = format!("transaction cancelled: {}", blamed.join(", "));
        if !blamed.is_empty() && blamed.iter().all(|code| THROTTLING.contains(code)) {
            Self::Throttled(text)
        } else {
            Self::Other(text)
        }
    }
}

fn positions<'a>(codes: &'a [&str], wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    let at = codes.iter().enumerate();
    at.filter(move |(_, code)| **code == wanted)
        .map(|(position, _)| position)
}

#[cfg(test)]
mod tests;
