//! Deletes an account with everything that is stored about its user.
//!
//! First the account is barred, so that no token of it is accepted and nothing is added to it. What
//! is found by way of another row is deleted before that row; the identities, by which the person's
//! next login finds a deletion that stopped, late; and the profile, from which all is found, last.
//! Then the user's partition once more, for the session of a login that had begun before.

use std::time::Duration;

use futures_util::{FutureExt, future::ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    AccountMerge, AccountParts,
    parts::{StepOutcome, audit},
};
use crate::{
    dynamo::{DynamoError, Write},
    ids::UserId,
    saga::{Next, Opening, Outcome, Progress, Saga, SagaError, SagaId, Step, StepError, Undo},
    users::{Bar, Barred, Erasure, PersonalField},
};

/// The kind of these sagas.
pub const DELETION: &str = "account-deletion";
/// How often a deletion is tried that finds the account otherwise than it was read.
const ATTEMPTS: usize = 3;

/// Deletes accounts. Cheap to clone.
#[derive(Clone)]
pub struct AccountDeletion {
    parts: AccountParts,
    /// A merge that has the account is brought to its end first.
    merge: AccountMerge,
    /// How long a barred account can be called back.
    cooling: Duration,
}

/// Why an account was not deleted.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// It was merged into another account, which has what it had; nothing has begun.
    #[error("the account was merged into another one")]
    Merged,
    /// The deletion has begun, or may have, and did not come to its end; or the table can't be used.
    #[error(transparent)]
    Saga(#[from] SagaError),
}

impl From<DynamoError> for DeletionError {
    fn from(error: DynamoError) -> Self {
        Self::Saga(error.into())
    }
}

/// When a deletion that waits goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    ToItsEnd,
    NoLonger,
}

/// Whose account, and when it is deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    user: UserId,
    /// Until then the account is only barred.
    #[serde(default)]
    not_before: Option<Timestamp>,
}

impl Saga for AccountDeletion {
    const KIND: &'static str = DELETION;
    const STEPS: &'static [Step<Self>] = &[
        Step {
            name: "bar",
            run: |saga, of| saga.bar(of.user).boxed(),
            undo: Undo::With(|saga, of: &Subject| saga.lift(of.user).boxed()),
        },
        Step {
            name: "sessions",
            run: |saga, of| saga.parts.end_sessions(of.user).boxed(),
            undo: Undo::Nothing,
        },
        Step {
            name: "cooling",
            run: |saga, of| ready(Ok(saga.wait(of.not_before))).boxed(),
            undo: Undo::Nothing,
        },
        Step {
            name: "personal-data",
            run: |saga, of| saga.clear_profile(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "avatars",
            run: |saga, of| saga.parts.delete_avatars(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "rows",
            run: |saga, of| saga.parts.delete_rows(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "identities",
            run: |saga, of| saga.unlink_identities(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "profile",
            run: |saga, of| saga.delete_profile(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "late-rows",
            run: |saga, of| saga.parts.delete_rows(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "traces",
            run: |saga, of| saga.parts.remove_traces(of.user).boxed(),
            undo: Undo::Impossible,
        },
    ];
    type Subject = Subject;
}

impl AccountDeletion {
    /// Deletes accounts with these parts, `cooling` after they were barred at their users' wish.
    #[must_use]
    pub fn new(parts: AccountParts, merge: AccountMerge, cooling: Duration) -> Self {
        Self {
            parts,
            merge,
            cooling,
        }
    }

    /// The saga that deletes this user's account, if there is one: a hash of the user's id, which is
    /// too random to be guessed.
    #[must_use]
    pub fn id(user: UserId) -> SagaId {
        let digest = Sha256::new()
            .chain_update(DELETION)
            .chain_update(user.0.as_bytes())
            .finalize();
        SagaId::new(std::array::from_fn(|at| digest[at]))
    }

    /// Deletes the account, after the time in which it can be called back (`DELETION_COOLING_DAYS`).
    ///
    /// # Errors
    /// [`DeletionError`].
    pub async fn begin(&self, user: UserId) -> Result<Progress, DeletionError> {
        let Self { parts, cooling, .. } = self;
        // In whole seconds, as its row says when a saga goes on.
        let now = parts.clock.now().as_second();
        let end = now + i64::try_from(cooling.as_secs()).unwrap_or_default();
        let not_before = (!cooling.is_zero())
            .then(|| Timestamp::from_second(end).ok())
            .flatten();
        let subject = Subject { user, not_before };
        self.open(&subject, None, Wait::ToItsEnd).await
    }

    /// Deletes the account without such a time, also one that waits for it to pass: where WeChat
    /// demands it, or an administrator, as long as `guard` says that they are one.
    ///
    /// # Errors
    /// [`DeletionError`].
    pub async fn begin_now(
        &self,
        user: UserId,
        guard: Option<Write>,
    ) -> Result<Progress, DeletionError> {
        let subject = Subject {
            user,
            not_before: None,
        };
        self.open(&subject, guard, Wait::NoLonger).await
    }

    /// Begins with the bar of the account; of one that is gone, with that: what a login that was on its
    /// way left of it is deleted.
    async fn open(
        &self,
        subject: &Subject,
        guard: Option<Write>,
        wait: Wait,
    ) -> Result<Progress, DeletionError> {
        let (user, id) = (subject.user, Self::id(subject.user));
        let AccountParts { sagas, barring, .. } = &self.parts;
        let mut opened_by = barring.write(bar(user, &id));
        for _ in 0..ATTEMPTS {
            barring.prepare(user).await;
            let opening = Opening {
                guards: guard.iter().cloned().collect(),
                writes: vec![opened_by],
            };
            let begun = match wait {
                Wait::ToItsEnd => sagas.begin(self, &id, subject.clone(), &opening).await,
                Wait::NoLonger => {
                    let begun = sagas.begin_without_wait(self, &id, subject.clone(), &opening);
                    begun.await
                }
            };
            let Err(SagaError::Blocked) = begun else {
                return Ok(begun?);
            };
            opened_by = self.after_others(user, &id).await?;
        }
        Err(SagaError::Busy.into())
    }

    /// What the deletion opens with, once no other saga has the account.
    async fn after_others(&self, user: UserId, id: &SagaId) -> Result<Write, DeletionError> {
        let AccountParts { barring, sagas, .. } = &self.parts;
        let Some(state) = barring.state(user).await? else {
            let record = sagas.get(id).await?.and_then(|entry| entry.outcome);
            return match record {
                Some(Outcome::Done) => Ok(barring.check_gone(user)),
                // Nothing but a deletion and a merge ends an account.
                Some(Outcome::Undone) | None => Err(DeletionError::Merged),
            };
        };
        if let Some(other) = state.barred_by.filter(|by| by != id) {
            // Boxed, because it is large and rare.
            Box::pin(self.merge.end(user, &other)).await?;
            if barring.state(user).await?.is_none() {
                return Err(DeletionError::Merged);
            }
        }
        Ok(barring.write(bar(user, id)))
    }

    /// The name of the step at this position; none after the last one.
    #[must_use]
    pub fn step(position: usize) -> Option<&'static str> {
        Self::STEPS.get(position).map(|step| step.name)
    }

    /// Continues the deletion of an account where it stands.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn resume(&self, saga: &SagaId) -> Result<Progress, SagaError> {
        self.parts.sagas.resume(self, saga).await
    }

    /// Lets an account be used again that is barred although its deletion was called off: a process
    /// that was overtaken barred it.
    ///
    /// # Errors
    /// DynamoDB's.
    pub async fn unbar(&self, user: UserId) -> Result<(), DynamoError> {
        self.parts.barring.lift(bar(user, &Self::id(user))).await
    }

    /// Calls an account back, as long as it is only barred.
    ///
    /// # Errors
    /// [`SagaError::TooLate`]; others of [`SagaError`].
    pub async fn call_off(&self, user: UserId) -> Result<Progress, SagaError> {
        let progress = self.parts.sagas.call_off(self, &Self::id(user)).await?;
        if progress == Progress::Undone {
            audit(
                user,
                "deletion_called_off",
                "the deletion of an account was called off",
            );
        }
        Ok(progress)
    }

    async fn bar(&self, user: UserId) -> StepOutcome {
        match self.parts.barring.bar(bar(user, &Self::id(user))).await? {
            Barred::Yes => audit(
                user,
                "account_barred",
                "an account is barred, to be deleted",
            ),
            // Deleted before, but for what a login that had begun before may have left.
            Barred::NoAccount => {}
            Barred::ByAnother => return Err(StepError::Refused("another saga bars the account")),
        }
        Ok(Next::Continue)
    }

    async fn lift(&self, user: UserId) -> StepOutcome {
        self.unbar(user).await?;
        Ok(Next::Continue)
    }

    fn wait(&self, until: Option<Timestamp>) -> Next {
        match until {
            Some(until) if until > self.parts.clock.now() => Next::Wait(until),
            _ => Next::Continue,
        }
    }

    /// Each identity with its union link, and with what the next login would read of it.
    async fn unlink_identities(&self, user: UserId) -> StepOutcome {
        let AccountParts {
            barring,
            rows,
            erasure,
            traces,
            ..
        } = &self.parts;
        barring.close(bar(user, &Self::id(user))).await?;
        let profile = rows.profile(user).await?;
        for identity in Erasure::identities_of(user, profile.as_ref()) {
            traces.remove_identity(&identity).await;
            erasure.unlink_with_union(&identity).await?;
            // What a login that had begun before left meanwhile.
            traces.remove_identity(&identity).await;
        }
        Ok(Next::Continue)
    }

    /// The number with its row, and what else the profile says about the person: behind the
    /// identities the profile may stay until somebody continues a deletion that stopped.
    async fn clear_profile(&self, user: UserId) -> StepOutcome {
        let AccountParts { erasure, .. } = &self.parts;
        erasure.clear(user, &PersonalField::ALL).await?;
        Ok(Next::Continue)
    }

    async fn delete_profile(&self, user: UserId) -> StepOutcome {
        let id = Self::id(user);
        let next = self.parts.delete_profile(bar(user, &id)).await?;
        audit(user, "account_deleted", "an account was deleted");
        Ok(next)
    }
}

/// The bar of an account that is being deleted by this saga.
fn bar(user: UserId, by: &SagaId) -> Bar<'_> {
    Bar {
        user,
        by,
        or_unnamed: true,
    }
}
