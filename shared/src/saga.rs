//! Sagas: changes of several rows that are carried through, step by step, even when the process that
//! began them dies in between (Garcia-Molina and Salem, "Sagas", 1987).
//!
//! A saga is a list of named steps. Each can be repeated, and says how it is undone. A row
//! (`SAGA#{id}` / `SAGA`) is written before the first step and moved on after each, on the condition
//! that it still stands where this process found it and is still this process's. So the process that finds the
//! row continues where it stands, and a process that was overtaken stops at its next write. A step
//! that was running then runs twice, or at the same time in two processes, which is why every step has
//! to be idempotent.
//!
//! Up to its point of no return a saga that fails for good is undone in reverse order. After it, it
//! only goes forward.
//!
//! A process has the saga for the time of a lease, which is in the row. Clocks decide only when a saga
//! may be taken over, never what is written: a clock that is wrong makes two processes work on it,
//! of which one is stopped.

mod log;
mod run;
mod step;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dynamo::DynamoError;

pub use log::{
    DueCursor, DueSagas, Entry, Outcome, PK_PREFIX as SAGA_PK_PREFIX, SK as SAGA_SK, Sagas,
};
pub use step::{Next, Opening, Saga, Step, StepError, Undo};

/// The id of a saga: 32 hexadecimal digits. Made from what it is about by a hash, so that the same
/// thing begun twice is one saga; or by chance ([`Sagas::new_id`]). Either way it tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SagaId(String);

impl SagaId {
    /// The id with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }
}

/// A text that is no id of a saga.
#[derive(Debug, Error)]
#[error("not the id of a saga")]
pub struct NotASagaId;

impl FromStr for SagaId {
    type Err = NotASagaId;

    fn from_str(text: &str) -> Result<Self, NotASagaId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASagaId)
        }
    }
}

impl TryFrom<String> for SagaId {
    type Error = NotASagaId;

    fn try_from(text: String) -> Result<Self, NotASagaId> {
        text.parse()
    }
}

impl From<SagaId> for String {
    fn from(id: SagaId) -> Self {
        id.0
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a saga has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All steps are done.
    Done,
    /// All that it had done is undone.
    Undone,
    /// It goes on at this time, not earlier.
    Waiting(Timestamp),
    /// It is not at its end: another process has it, or the time of this request is up.
    Unfinished,
}

/// Why a saga did not come to an end.
#[derive(Debug, Error)]
pub enum SagaError {
    /// No such saga, or it is of another kind.
    #[error("no such saga")]
    NotFound,
    /// A guard of its opening did not hold.
    #[error("the saga may not be begun")]
    NotAllowed,
    /// The other writes of its opening can't be carried out: the rows are not as they have to be.
    #[error("the saga can't begin with the rows as they are")]
    Blocked,
    /// Another saga has what this one is about, and is not at its end.
    #[error("another saga has to end before")]
    Busy,
    /// A step was refused for good, and what had been done was undone.
    #[error("the saga was undone: {0}")]
    Refused(&'static str),
    /// It is past its point of no return, or another process has it.
    #[error("the saga can no longer be called off")]
    TooLate,
    /// Something else than the table can't be used. The saga stands where it stood, to be continued.
    #[error("{0}")]
    Unavailable(String),
    /// The table can't be used. The saga stands where it stood, to be continued.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}
