//! What one account takes over from another one that is merged into it: identities with their union
//! links, fields that it lacks, the phone number, consents.
//!
//! Each change is one transaction, which takes something from the one account and gives it to the
//! other, on the condition that both are barred by the merge. So all of it can be repeated, and a
//! process that was overtaken changes nothing once the merge has ended.

mod fields;
mod identities;

use super::{Consents, MergePair};
use crate::{
    cache::Cache,
    clock::Clock,
    dynamo::{Dynamo, DynamoError, TransactionOutcome, Write},
};

/// Moves what accounts have. Cheap to clone.
#[derive(Clone)]
pub struct Merging {
    dynamo: Dynamo,
    consents: Consents,
    clock: Clock,
}

impl Merging {
    /// Moves rows in `dynamo`; `cache` remembers the users.
    #[must_use]
    pub fn new(dynamo: Dynamo, cache: Cache, clock: Clock) -> Self {
        Self {
            consents: Consents::new(dynamo.clone(), cache, clock.clone()),
            dynamo,
            clock,
        }
    }

    /// Gives the surviving account the history of agreements, and those that hold.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when other requests keep writing the same rows; DynamoDB's.
    pub async fn move_consents(&self, pair: MergePair<'_>) -> Result<(), DynamoError> {
        self.consents.take_over(pair).await
    }

    /// All or nothing; [`DynamoError::Conflict`] if the rows are not as they were read.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DynamoError> {
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(()),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }
}

fn is_conflict(error: &DynamoError) -> bool {
    matches!(error, DynamoError::Conflict)
}
