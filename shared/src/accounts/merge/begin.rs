//! Beginning a merge: both accounts are barred, or neither.

use thiserror::Error;

use super::{AccountMerge, AccountParts, Origin, Subject};
use crate::{
    dynamo::{DynamoError, Write},
    ids::UserId,
    saga::{Opening, Progress, SagaError},
    users::{AccountState, MergePair, Role, Status},
};

/// What a merge that a user asks for rests on, as parts of the transaction that begins it.
pub struct MergeProof {
    /// Uses up the ticket that the user was given for it.
    pub ticket: Write,
    /// Makes sure that the surviving account still has the number, for which there was a ticket.
    pub number: Write,
}

/// Why two accounts were not merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// They are one.
    #[error("an account can't be merged into itself")]
    SameAccount,
    /// A condition of the proof did not hold; nothing has begun.
    #[error("the proof that was given for the merge does not hold")]
    ProofFailed,
    /// This account is not fit to be merged; nothing has begun.
    #[error("an account can't be merged: {1}")]
    Unfit(UserId, Unfit),
    /// The merge has begun, or may have, and did not come to its end; or the table can't be used.
    #[error(transparent)]
    Saga(#[from] SagaError),
}

/// Why an account can't be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// There is none: it was deleted, or merged before.
    #[error("it does not exist")]
    Gone,
    /// An administrator disabled it.
    #[error("it is disabled")]
    Disabled,
    /// It is being deleted, or merged with another one.
    #[error("it is barred")]
    Barred,
    /// It is an administrator's: rights don't change hands by a number or an id.
    #[error("it is an administrator's")]
    Administrator,
}

impl From<DynamoError> for MergeError {
    fn from(error: DynamoError) -> Self {
        Self::Saga(error.into())
    }
}

impl AccountMerge {
    /// Merges the account of `from` into that of `into`, as far as this request's time allows. A merge
    /// because of a union id has no `proof`. The proof is written in the same transaction that begins
    /// the merge, or not at all. A merge of the same two that has begun before is continued instead,
    /// without the proof.
    ///
    /// # Errors
    /// [`MergeError`].
    pub async fn begin(
        &self,
        from: UserId,
        into: UserId,
        proof: Option<MergeProof>,
    ) -> Result<Progress, MergeError> {
        if from == into {
            return Err(MergeError::SameAccount);
        }
        for user in [from, into] {
            if self.administrators.are_named(user) {
                return Err(MergeError::Unfit(user, Unfit::Administrator));
            }
        }
        let AccountParts { sagas, barring, .. } = &self.parts;
        let saga = sagas.new_id();
        let subject = Subject {
            saga: saga.clone(),
            from,
            into,
            origin: match proof {
                Some(_) => Origin::Ticket,
                None => Origin::UnionId,
            },
        };
        let pair = MergePair {
            saga: &saga,
            from,
            into,
        };
        futures_util::join!(barring.prepare(from), barring.prepare(into));
        let opening = Opening {
            guards: proof.map_or_else(Vec::new, |proof| vec![proof.ticket, proof.number]),
            writes: vec![
                barring.write_if_in_use(pair.from_bar()),
                barring.write_if_in_use(pair.into_bar()),
            ],
        };
        match sagas.begin(self, &saga, subject, &opening).await {
            Err(SagaError::NotAllowed) => Err(MergeError::ProofFailed),
            Err(SagaError::Blocked) => self.continue_or_explain(from, into).await,
            progress => Ok(progress?),
        }
    }

    /// Continues the merge that bars both accounts, or says which one is not fit to be merged.
    async fn continue_or_explain(
        &self,
        from: UserId,
        into: UserId,
    ) -> Result<Progress, MergeError> {
        let state = |user| self.parts.barring.state(user);
        let (one, other) = futures_util::try_join!(state(from), state(into))?;
        let barred_by =
            |state: &Option<AccountState>| state.as_ref().and_then(|state| state.barred_by.clone());
        if let (Some(saga), Some(same)) = (barred_by(&one), barred_by(&other))
            && saga == same
        {
            let progress = self.resume(&saga).await?;
            // It may be one in the other direction.
            let is_theirs = progress != Progress::Done || state(into).await?.is_some();
            return if is_theirs {
                Ok(progress)
            } else {
                Err(MergeError::Unfit(into, Unfit::Gone))
            };
        }
        for (user, state) in [(from, one), (into, other)] {
            if let Some(unfit) = unfit(state) {
                return Err(MergeError::Unfit(user, unfit));
            }
        }
        // It was unfit when the transaction looked.
        Err(DynamoError::Conflict.into())
    }
}

fn unfit(state: Option<AccountState>) -> Option<Unfit> {
    let Some(state) = state else {
        return Some(Unfit::Gone);
    };
    match state.status {
        Status::Barred => Some(Unfit::Barred),
        Status::Disabled => Some(Unfit::Disabled),
        Status::Active => (state.role == Role::Admin).then_some(Unfit::Administrator),
    }
}
