//! A number moves from the user who has it to another one: carriers give numbers to others.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use thiserror::Error;

use super::{Holder, PhoneNumbers, bound_user, owner_key, write_profile};
use crate::{
    dynamo::{self, Condition, DynamoError, TransactionOutcome, Write},
    ids::UserId,
    request,
    users::{
        Status, User,
        profiles::invalidate_cached,
        rows::{self, phone_owner_row},
    },
    values::Phone,
};

/// The positions among the writes: the caller's proof, the profile that loses the number, the one
/// that gets it. The rows of the number follow, and last, if the user had another number before, the
/// row of that one.
const PROOF: usize = 0;
const LOSER: usize = 1;
const GETTER: usize = 2;

/// Why a number did not move.
#[derive(Debug, Error)]
pub enum TakeError {
    /// The proof no longer holds, or the holder does not have the number, or is not active.
    #[error("the number can't be taken as it was found")]
    Gone,
    /// The user who would get it does not exist, or their account is barred: it is being deleted or merged.
    #[error("no such user")]
    NotFound,
    /// The table is unavailable.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
}

impl PhoneNumbers {
    /// Gives the number that `from` has to the user `to`, in place of the one they have; `from` then
    /// has none. All or nothing, together with what `proof` makes: a write whose condition says that
    /// the user may have it.
    ///
    /// # Errors
    /// [`TakeError`].
    pub async fn take(
        &self,
        to: UserId,
        from: &Holder,
        proof: impl Fn() -> Write,
    ) -> Result<User, TakeError> {
        let before_is_theirs = AtomicBool::new(true);
        let attempt = || async {
            let taken = self
                .attempt_take(to, from, proof(), &before_is_theirs)
                .await;
            // Also after a failure: a write whose answer was lost may have happened.
            futures_util::join!(
                invalidate_cached(&self.cache, to),
                invalidate_cached(&self.cache, from.user.id)
            );
            taken
        };
        let is_conflict =
            |error: &TakeError| matches!(error, TakeError::Dynamo(DynamoError::Conflict));
        let taken = self.dynamo.retry_conflicts(attempt, is_conflict).await?;
        tracing::info!(
            audit = "phone_taken", user_id = %to, from = %from.user.id, request_id = request::id(),
            "a phone number moved to the user who shared it"
        );
        Ok(taken)
    }

    /// The user with the number, or [`DynamoError::Conflict`] when another writer was faster.
    async fn attempt_take(
        &self,
        to: UserId,
        from: &Holder,
        proof: Write,
        before_is_theirs: &AtomicBool,
    ) -> Result<User, TakeError> {
        let before = self.before(to).await?.ok_or(TakeError::NotFound)?;
        let number = from.user.phone.as_deref().ok_or(TakeError::Gone)?;
        let phone = Phone::from_stored(number.into());
        let (claim, mut others) = self.hashes.claims(&phone)?;
        if from.claim != claim && !others.contains(&from.claim) {
            others.push(from.claim.clone());
        }
        let bound = bound_user(&before.user, &phone, self.clock.now());
        let mut writes = vec![
            proof,
            self.remove_number(from.user.id, if_active(&from.claim)),
            write_profile(&bound, &phone, &claim, before.user.version),
            Write::Put(
                phone_owner_row(&claim, to, Some(self.today())),
                Condition::absent_or_owned_by(from.user.id),
            ),
        ];
        let release = |pk: &String| rows::release(owner_key(pk), from.user.id, true);
        writes.extend(others.iter().map(release));
        let release_at = writes.len();
        let of_another_number = |pk: &String| *pk != claim && !others.contains(pk);
        if let Some(pk) = before.claim.filter(of_another_number) {
            let is_theirs = before_is_theirs.load(Relaxed);
            writes.push(rows::release(owner_key(&pk), to, is_theirs));
        }
        match self.dynamo.transact(writes).await? {
            TransactionOutcome::Written => Ok(bound),
            TransactionOutcome::ConditionFailed(at) => {
                let is_gone = |at: &usize| {
                    matches!(*at, PROOF | LOSER) || (GETTER + 1..release_at).contains(at)
                };
                if at.iter().any(is_gone) {
                    return Err(TakeError::Gone);
                }
                if at.contains(&release_at) {
                    before_is_theirs.fetch_xor(true, Relaxed);
                }
                Err(DynamoError::Conflict.into())
            }
        }
    }
}

/// The number's holder still has it, and is neither disabled nor barred.
fn if_active(claim: &str) -> Condition {
    Condition::new("phoneClaim = :claim AND #status = :active")
        .value(":claim", dynamo::string(claim))
        .name("#status", "status")
        .value(":active", dynamo::string(Status::Active.as_str()))
}
