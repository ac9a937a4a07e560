//! All sagas on accounts: continued by their ids, or by an account that one of them bars.

use super::{AccountDeletion, AccountMerge, DELETION, MERGE};
use crate::{
    dynamo::DynamoError,
    ids::UserId,
    saga::{Entry, Progress, SagaError, SagaId, Sagas},
    users::{Barring, Status},
};

/// What an account is barred for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BarredFor {
    /// It is being deleted.
    Deletion,
    /// It is being merged with another one, by this saga.
    Merge(SagaId),
}

/// The sagas on accounts. Cheap to clone.
#[derive(Clone)]
pub struct AccountSagas {
    /// Those that delete accounts.
    pub deletion: AccountDeletion,
    /// Those that merge them.
    pub merge: AccountMerge,
    log: Sagas,
    barring: Barring,
}

impl AccountSagas {
    /// The sagas in `log`, of accounts that `barring` bars.
    #[must_use]
    pub fn new(
        deletion: AccountDeletion,
        merge: AccountMerge,
        log: Sagas,
        barring: Barring,
    ) -> Self {
        Self {
            deletion,
            merge,
            log,
            barring,
        }
    }

    /// Continues a saga of either kind where it stands.
    ///
    /// # Errors
    /// [`SagaError::NotFound`] also for one of a kind that this version does not know.
    pub async fn resume(&self, id: &SagaId) -> Result<Progress, SagaError> {
        let entry = self.log.get(id).await?.ok_or(SagaError::NotFound)?;
        match entry.kind.as_str() {
            DELETION => self.deletion.resume(id).await,
            MERGE => self.merge.resume(id).await,
            _ => Err(SagaError::NotFound),
        }
    }

    /// The saga that bars the account, and has not ended; none if it is not barred, or gone.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn of(&self, user: UserId) -> Result<Option<Entry>, DynamoError> {
        let id = match self.bar_of(user).await? {
            Some(BarredFor::Merge(saga)) => saga,
            Some(BarredFor::Deletion) => AccountDeletion::id(user),
            None => return Ok(None),
        };
        let entry = self.log.get(&id).await?;
        Ok(entry.filter(|entry| entry.outcome.is_none()))
    }

    /// The name of a saga's next step; none after the last one, or where the kind is unknown.
    #[must_use]
    pub fn step(entry: &Entry) -> Option<&'static str> {
        match entry.kind.as_str() {
            DELETION => AccountDeletion::step(entry.position),
            MERGE => AccountMerge::step(entry.position),
            _ => None,
        }
    }

    /// Brings the merge that bars an account to its end. Whether there was one.
    ///
    /// # Errors
    /// [`SagaError::Busy`] if it did not end within this request's time; others of [`SagaError`].
    pub async fn end_merge_of(&self, user: UserId) -> Result<bool, SagaError> {
        match self.bar_of(user).await? {
            // Boxed, because it is large and rare.
            Some(BarredFor::Merge(saga)) => {
                Box::pin(self.merge.end(user, &saga)).await.map(|()| true)
            }
            Some(BarredFor::Deletion) | None => Ok(false),
        }
    }

    /// What the account is barred for; nothing if it is not barred, or gone. A bar that names no saga
    /// was written by an earlier version, for a deletion.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn bar_of(&self, user: UserId) -> Result<Option<BarredFor>, DynamoError> {
        let state = self.barring.state(user).await?;
        let barred = state.filter(|state| state.status == Status::Barred);
        Ok(barred.map(|state| match state.barred_by {
            Some(saga) if saga != AccountDeletion::id(user) => BarredFor::Merge(saga),
            _ => BarredFor::Deletion,
        }))
    }
}
