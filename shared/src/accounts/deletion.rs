//! Deletes an account with everything that is stored about its user.
//!
//! First the account is barred, so that no token of it is accepted and nothing is added to it. What
//! is found by way of another row is deleted before that row; the identities, by which the person's
//! next login finds a deletion that stopped, late; and the profile, from which all is found, last.
//! Then the user's partition once more, for the session of a login that had begun before.

use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt, future::ready};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    auth::Sessions,
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError, Write},
    ids::UserId,
    request::deadline::LongWork,
    saga::{Guard, Next, Progress, Saga, SagaError, SagaId, Sagas, Step, StepError, Undo},
    users::{Barring, Erasure, PersonalField, Traces, UserRows},
};

/// The kind of these sagas.
pub const DELETION: &str = "account-deletion";
/// Rows that are deleted at the same time.
const CONCURRENCY: usize = 16;

/// What accounts are deleted with.
#[derive(Clone)]
pub struct DeletionParts {
    /// The log of sagas.
    pub sagas: Sagas,
    /// The rows.
    pub dynamo: Dynamo,
    /// Bars accounts.
    pub barring: Barring,
    /// Ends sessions.
    pub sessions: Sessions,
    /// Finds the rows of a user.
    pub rows: UserRows,
    /// Deletes those that belong together in transactions.
    pub erasure: Erasure,
    /// Removes what shared state remembers of a user.
    pub traces: Traces,
    /// When the account is deleted.
    pub clock: Clock,
    /// How long a barred account can be called back.
    pub cooling: Duration,
}

/// Deletes accounts. Cheap to clone.
#[derive(Clone)]
pub struct AccountDeletion {
    parts: DeletionParts,
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
            run: |saga, of| saga.end_sessions(of.user).boxed(),
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
            name: "rows",
            run: |saga, of| saga.delete_rows(of.user).boxed(),
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
            run: |saga, of| saga.delete_rows(of.user).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "traces",
            run: |saga, of| saga.remove_traces(of.user).boxed(),
            undo: Undo::Impossible,
        },
    ];
    type Subject = Subject;

    fn opening(&self, of: &Subject) -> Vec<Write> {
        vec![self.parts.barring.write(of.user)]
    }
}

type StepOutcome = Result<Next, StepError>;

impl AccountDeletion {
    /// Deletes accounts with these parts.
    #[must_use]
    pub fn new(parts: DeletionParts) -> Self {
        Self { parts }
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
    /// [`SagaError`].
    pub async fn begin(&self, user: UserId) -> Result<Progress, SagaError> {
        let DeletionParts { clock, cooling, .. } = &self.parts;
        // In whole seconds, as its row says when a saga goes on.
        let end = clock.now().as_second() + i64::try_from(cooling.as_secs()).unwrap_or_default();
        let not_before = (!cooling.is_zero())
            .then(|| Timestamp::from_second(end).ok())
            .flatten();
        let subject = Subject { user, not_before };
        let DeletionParts { sagas, barring, .. } = &self.parts;
        barring.prepare(user).await;
        sagas.begin(self, &Self::id(user), subject, None).await
    }

    /// Deletes the account without such a time, also one that waits for it to pass: where WeChat
    /// demands it, or an administrator, as long as `guard` says that they are one.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn begin_now(
        &self,
        user: UserId,
        guard: Option<Guard<'_>>,
    ) -> Result<Progress, SagaError> {
        let subject = Subject {
            user,
            not_before: None,
        };
        let DeletionParts { sagas, barring, .. } = &self.parts;
        barring.prepare(user).await;
        sagas
            .begin_without_wait(self, &Self::id(user), subject, guard)
            .await
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
        self.parts.barring.lift(user).await
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
        if !self.parts.barring.bar(user).await? {
            // Deleted before, but for what a login that had begun before may have left.
            return Ok(Next::Continue);
        }
        audit(
            user,
            "account_barred",
            "an account is barred, to be deleted",
        );
        Ok(Next::Continue)
    }

    async fn lift(&self, user: UserId) -> StepOutcome {
        self.parts.barring.lift(user).await?;
        Ok(Next::Continue)
    }

    async fn end_sessions(&self, user: UserId) -> StepOutcome {
        self.parts.sessions.revoke_all(user, None).await?;
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
        let DeletionParts {
            barring,
            rows,
            erasure,
            traces,
            ..
        } = &self.parts;
        barring.close(user).await?;
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
        self.parts.erasure.clear(user, &PersonalField::ALL).await?;
        Ok(Next::Continue)
    }

    /// What stands in the user's partition beside the profile.
    async fn delete_rows(&self, user: UserId) -> StepOutcome {
        let DeletionParts { rows, dynamo, .. } = &self.parts;
        let work = LongWork::begin();
        rows.own(user, None)
            .try_take_while(|_| ready(Ok(work.may_go_on())))
            .map_ok(|row| async move {
                let key = dynamo::key(row.pk(), row.sk());
                dynamo.delete(key, Condition::exists()).await.map(drop)
            })
            .try_buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        if !work.may_go_on() {
            return Err(DynamoError::out_of_time().into());
        }
        Ok(Next::Continue)
    }

    async fn delete_profile(&self, user: UserId) -> StepOutcome {
        self.parts.barring.delete_profile(user).await?;
        audit(user, "account_deleted", "an account was deleted");
        Ok(Next::Continue)
    }

    async fn remove_traces(&self, user: UserId) -> StepOutcome {
        self.parts.traces.remove_user(user).await;
        self.parts.sessions.forget_known(user).await;
        Ok(Next::Continue)
    }
}

fn audit(user: UserId, audit: &'static str, what: &'static str) {
    let request_id = crate::request::id();
    tracing::info!(audit, user_id = %user, request_id, "{what}");
}
