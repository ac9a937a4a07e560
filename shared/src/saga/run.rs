//! Moving sagas on.

use std::time::Duration;

use super::{
    Next, Opening, Progress, Saga, SagaError, SagaId, Sagas, Step, StepError, Undo,
    log::{Direction, First, Hold, Outcome, Taken},
};
use crate::{
    dynamo::{DynamoError, Write},
    request::deadline,
    telemetry::OrDegraded,
};

/// A step is begun only if the request has at least this long left.
const FOR_A_STEP: Duration = Duration::from_secs(1);

/// What a process does with a saga that it has.
enum Move {
    /// The saga is where it was taken to.
    On,
    Stop(Progress),
}

impl Sagas {
    /// Begins a saga with this `opening`, and takes it as far as this request's time allows. One that
    /// has begun already is continued; one that ended is begun anew.
    ///
    /// # Errors
    /// [`SagaError`]; where the opening can't be written, nothing has begun.
    pub async fn begin<S: Saga>(
        &self,
        saga: &S,
        id: &SagaId,
        subject: S::Subject,
        opening: &Opening,
    ) -> Result<Progress, SagaError> {
        for _ in 0..2 {
            let first = self.write_first::<S>(id, subject.clone(), opening);
            match first.await? {
                First::Began(hold) => return self.drive(saga, hold).await,
                First::NotAllowed => return Err(SagaError::NotAllowed),
                First::Blocked => return Err(SagaError::Blocked),
                First::Running => {}
            }
            // One that was going back is at its end now, and begins again.
            match self.resume(saga, id).await? {
                Progress::Undone => {}
                progress => return Ok(progress),
            }
        }
        Ok(Progress::Undone)
    }

    /// The same, but one that waits goes on about this `subject` now.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn begin_without_wait<S: Saga>(
        &self,
        saga: &S,
        id: &SagaId,
        subject: S::Subject,
        opening: &Opening,
    ) -> Result<Progress, SagaError> {
        match self.begin(saga, id, subject.clone(), opening).await? {
            Progress::Waiting(_) => {
                self.end_wait::<S>(id, &subject).await?;
                self.resume(saga, id).await
            }
            progress => Ok(progress),
        }
    }

    /// Continues a saga where it stands.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn resume<S: Saga>(&self, saga: &S, id: &SagaId) -> Result<Progress, SagaError> {
        match self.take::<S::Subject>(id, S::KIND).await? {
            Taken::Held(hold) => self.drive(saga, hold).await,
            Taken::Ended(Outcome::Done) => Ok(Progress::Done),
            Taken::Ended(Outcome::Undone) => Ok(Progress::Undone),
            Taken::Waiting(until) => Ok(Progress::Waiting(until)),
            Taken::Busy => Ok(Progress::Unfinished),
            Taken::Missing => Err(SagaError::NotFound),
        }
    }

    /// Turns a saga that waits back, and undoes what it has done; or goes on with that.
    ///
    /// # Errors
    /// [`SagaError::TooLate`] after its point of no return, for one that does not wait, or while
    /// another process moves it on.
    pub async fn call_off<S: Saga>(&self, saga: &S, id: &SagaId) -> Result<Progress, SagaError> {
        match self.take_waiting::<S::Subject>(id, S::KIND).await? {
            Taken::Held(mut hold) => {
                if hold.direction == Direction::Back {
                    return self.drive(saga, hold).await;
                }
                if hold.position >= Step::<S>::point_of_no_return() {
                    self.give_back(&hold, None, None).await?;
                    return Err(SagaError::TooLate);
                }
                let next = hold.position + 1;
                match self
                    .advance_or_stop(&mut hold, next, Direction::Back)
                    .await?
                {
                    Move::On => self.drive(saga, hold).await,
                    Move::Stop(progress) => Ok(progress),
                }
            }
            Taken::Ended(Outcome::Undone) => Ok(Progress::Undone),
            Taken::Missing => Err(SagaError::NotFound),
            Taken::Ended(Outcome::Done) | Taken::Busy | Taken::Waiting(_) => {
                Err(SagaError::TooLate)
            }
        }
    }

    async fn drive<S: Saga>(
        &self,
        saga: &S,
        mut hold: Hold<S::Subject>,
    ) -> Result<Progress, SagaError> {
        loop {
            let moved = match hold.direction {
                _ if is_out_of_time() => self.stop_in_time(&hold).await?,
                Direction::Forward => self.forward(saga, &mut hold).await?,
                Direction::Back => self.back(saga, &mut hold).await?,
            };
            if let Move::Stop(progress) = moved {
                return Ok(progress);
            }
        }
    }

    async fn forward<S: Saga>(
        &self,
        saga: &S,
        hold: &mut Hold<S::Subject>,
    ) -> Result<Move, SagaError> {
        let Some(step) = S::STEPS.get(hold.position) else {
            let closing = saga.closing(&hold.subject);
            return self.finish(saga, hold, Outcome::Done, closing).await;
        };
        match (step.run)(saga, &hold.subject).await {
            Ok(Next::Continue) => {
                let next = hold.position + 1;
                self.advance_or_stop(hold, next, Direction::Forward).await
            }
            Ok(Next::Wait(until)) => {
                self.give_back(hold, Some(until), None).await?;
                Ok(Move::Stop(Progress::Waiting(until)))
            }
            Err(StepError::Refused(why)) if hold.position < Step::<S>::point_of_no_return() => {
                tracing::warn!(saga = S::KIND, saga_id = %hold.id, step = step.name, why, "a saga is undone");
                // It may have done a part, so it is undone too.
                let next = hold.position + 1;
                self.advance_or_stop(hold, next, Direction::Back).await
            }
            // It did what there was time for.
            Err(StepError::Dynamo(DynamoError::Unavailable(_))) if is_out_of_time() => {
                self.stop_in_time(hold).await
            }
            Err(error) => Err(self.failed::<S>(hold, step, error).await),
        }
    }

    async fn back<S: Saga>(
        &self,
        saga: &S,
        hold: &mut Hold<S::Subject>,
    ) -> Result<Move, SagaError> {
        let Some(before) = hold.position.checked_sub(1) else {
            return self.finish(saga, hold, Outcome::Undone, Vec::new()).await;
        };
        let Some(step) = S::STEPS.get(before) else {
            return self.advance_or_stop(hold, before, Direction::Back).await;
        };
        if let Undo::With(undo) = step.undo
            && let Err(error) = undo(saga, &hold.subject).await
        {
            return Err(self.failed::<S>(hold, step, error).await);
        }
        self.advance_or_stop(hold, before, Direction::Back).await
    }

    /// Leaves the saga to the next process while there is time for an answer.
    async fn stop_in_time<T>(&self, hold: &Hold<T>) -> Result<Move, SagaError> {
        self.give_back(hold, None, None).await?;
        Ok(Move::Stop(Progress::Unfinished))
    }

    async fn advance_or_stop<T>(
        &self,
        hold: &mut Hold<T>,
        position: usize,
        direction: Direction,
    ) -> Result<Move, SagaError> {
        if self.advance(hold, position, direction).await? {
            Ok(Move::On)
        } else {
            // Another process took it over.
            Ok(Move::Stop(Progress::Unfinished))
        }
    }

    async fn finish<S: Saga>(
        &self,
        saga: &S,
        hold: &Hold<S::Subject>,
        outcome: Outcome,
        closing: Vec<Write>,
    ) -> Result<Move, SagaError> {
        let ended = self.end(hold, outcome, closing).await;
        // Also after a failure: a write whose answer was lost may have happened.
        saga.after_end(&hold.subject).await;
        if !ended? {
            return Ok(Move::Stop(Progress::Unfinished));
        }
        tracing::info!(saga = S::KIND, saga_id = %hold.id, ?outcome, "a saga has ended");
        Ok(Move::Stop(match outcome {
            Outcome::Done => Progress::Done,
            Outcome::Undone => Progress::Undone,
        }))
    }

    /// Leaves the saga where it stands, for the next process.
    async fn failed<S: Saga>(
        &self,
        hold: &Hold<S::Subject>,
        step: &Step<S>,
        error: StepError,
    ) -> SagaError {
        let why = error.to_string();
        tracing::warn!(saga = S::KIND, saga_id = %hold.id, step = step.name, why, "a step of a saga failed");
        // Where this fails too, the lease expires.
        let given_back = self.give_back(hold, None, Some(&why)).await;
        given_back.or_degraded("a saga's row");
        match error {
            StepError::Refused(why) => SagaError::Refused(why),
            StepError::Unavailable(why) => SagaError::Unavailable(why),
            StepError::Dynamo(error) => SagaError::Dynamo(error),
        }
    }
}

/// Whether this request has too little left for a step.
fn is_out_of_time() -> bool {
    deadline::remaining().is_some_and(|left| left < FOR_A_STEP)
}
