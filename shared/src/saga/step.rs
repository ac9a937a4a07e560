//! The steps of a saga.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::dynamo::{DynamoError, Write};

/// What a saga does, with what it needs to do it.
pub trait Saga: Sized + Sync + 'static {
    /// Its name in rows and log lines.
    const KIND: &'static str;
    /// Its steps, in order. A row holds a position in this list, so while sagas of an earlier version
    /// may be unfinished, steps are only added at the end.
    const STEPS: &'static [Step<Self>];
    /// What it is about: stored in its row until it ends.
    type Subject: Serialize + DeserializeOwned + Clone + Send + Sync;

    /// Writes that are carried out together with the end of a saga whose steps are all done: so none
    /// shows that it has ended before it has. Where their conditions do not hold, it ends without
    /// them.
    fn closing(&self, _subject: &Self::Subject) -> Vec<Write> {
        Vec::new()
    }

    /// What follows the end, if the process lives on.
    fn after_end<'a>(&'a self, _subject: &'a Self::Subject) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What is written together with the row of a saga that begins, or not at all: so no saga has begun
/// that does not show.
#[derive(Clone, Default)]
pub struct Opening {
    /// Conditions under which the saga may be begun, or things that are used up by that.
    pub guards: Vec<Write>,
    /// What the first step would do.
    pub writes: Vec<Write>,
}

/// What a step does: it may be repeated, by several processes at the same time too.
pub type Work<S> =
    for<'a> fn(&'a S, &'a <S as Saga>::Subject) -> BoxFuture<'a, Result<Next, StepError>>;

/// One step.
pub struct Step<S: Saga> {
    /// Its name in rows and log lines.
    pub name: &'static str,
    /// What it does.
    pub run: Work<S>,
    /// How that is undone.
    pub undo: Undo<S>,
}

/// How a step is undone.
pub enum Undo<S: Saga> {
    /// By this.
    With(Work<S>),
    /// It changes nothing that has to be undone.
    Nothing,
    /// Not at all: before this step is the point of no return.
    Impossible,
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next one.
    Continue,
    /// The same one, at this time: until then the saga waits.
    Wait(Timestamp),
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// It can never succeed. Up to the point of no return the saga is undone then.
    #[error("{0}")]
    Refused(&'static str),
    /// Something else than the table can't be used; the step is tried again.
    #[error("{0}")]
    Unavailable(String),
    /// The table can't be used; the step is tried again.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl<S: Saga> Step<S> {
    /// The position of the first step that can't be undone; the number of steps if all can.
    pub(super) fn point_of_no_return() -> usize {
        let is_final = |step: &Self| matches!(step.undo, Undo::Impossible);
        let position = S::STEPS.iter().position(is_final);
        position.unwrap_or(S::STEPS.len())
    }
}
