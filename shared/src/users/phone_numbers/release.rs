//! Taking a number from its owner, for an operator who knows that it is no longer theirs. The next user
//! who shares it gets it.

use super::{PhoneNumbers, phone_claim};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Update, Write},
    ids::UserId,
    request,
    users::{
        profiles::invalidate_cached,
        rows::{Owner, PHONE_OWNER, PROFILE, profile_key, user_pk},
    },
    values::Phone,
};

impl PhoneNumbers {
    /// Takes the number from the user who has it, who then has none. Returns who that was; nobody if
    /// it was free, so this can be repeated. Several only where a number was bound twice.
    ///
    /// # Errors
    /// [`DynamoError::Conflict`] when the number keeps being bound meanwhile; DynamoDB's.
    pub async fn release(&self, phone: &Phone) -> Result<Vec<UserId>, DynamoError> {
        let mut owners = Vec::new();
        for claim in self.hashes.all_claims(phone) {
            let attempt = || self.release_claim(&claim);
            let is_conflict = |error: &DynamoError| matches!(error, DynamoError::Conflict);
            owners.extend(self.dynamo.retry_conflicts(attempt, is_conflict).await?);
        }
        for user in &owners {
            tracing::info!(
                audit = "phone_released", user_id = %user, request_id = request::id(),
                "an operator released a user's phone number"
            );
        }
        Ok(owners)
    }

    /// The number's row, and the number in its owner's profile if it is there: all or nothing.
    async fn release_claim(&self, claim: &str) -> Result<Option<UserId>, DynamoError> {
        let Some(row) = self.dynamo.get(claim, PHONE_OWNER.sk).await? else {
            return Ok(None);
        };
        let Owner { uid } = dynamo::from_item(row)?;
        let profile = self.dynamo.get(&user_pk(uid), PROFILE.sk).await?;
        let has_it = profile.as_ref().and_then(phone_claim).as_deref() == Some(claim);
        let writes = vec![
            Write::Delete(dynamo::key(claim, PHONE_OWNER.sk), Condition::owned_by(uid)),
            if has_it {
                self.remove_number(uid, if_has(claim))
            } else {
                check_has_not(uid, claim)
            },
        ];
        let written = self.dynamo.transact(writes).await;
        // Also after a failure: a write whose answer was lost may have happened.
        invalidate_cached(&self.cache, uid).await;
        match written? {
            TransactionOutcome::Written => Ok(Some(uid)),
            TransactionOutcome::ConditionFailed(_) => Err(DynamoError::Conflict),
        }
    }

    /// The number is removed from the user's profile if `condition` holds.
    pub(super) fn remove_number(&self, user: UserId, condition: Condition) -> Write {
        let update = Update::new(
            profile_key(user),
            "SET updatedAt = :now REMOVE phone, phoneClaim ADD version :one",
            condition,
        );
        let now = dynamo::string(self.clock.now().to_string());
        Write::Update(update.value(":now", now).value(":one", dynamo::number(1)))
    }
}

fn if_has(claim: &str) -> Condition {
    Condition::new("phoneClaim = :claim").value(":claim", dynamo::string(claim))
}

fn check_has_not(user: UserId, claim: &str) -> Write {
    let condition = Condition::new("attribute_not_exists(phoneClaim) OR phoneClaim <> :claim");
    Write::Check(
        profile_key(user),
        condition.value(":claim", dynamo::string(claim)),
    )
}
