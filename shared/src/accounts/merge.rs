//! Merges two accounts of one person into one.
//!
//! Both are barred in the transaction that begins the saga, so nothing is added to either meanwhile and
//! no token of either is accepted. From the first identity that has moved on there is no way back.
//! What the surviving account takes over moves first; then the other one is deleted, as a deletion does
//! it; the survivor's bar is lifted together with the end, so that either person's next login finds a merge that
//! stopped.

mod begin;

use futures_util::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use super::{AccountParts, parts::StepOutcome};
use crate::{
    dynamo::Write,
    ids::UserId,
    request,
    saga::{Next, Progress, Saga, SagaError, SagaId, Step, StepError, Undo},
    users::{Administrators, Bar, Erasure, MergePair, Merging, PersonalField, SessionsOf},
};

pub use begin::{MergeError, MergeProof, Unfit};

/// The kind of these sagas.
pub const MERGE: &str = "account-merge";

/// Merges accounts. Cheap to clone.
#[derive(Clone)]
pub struct AccountMerge {
    parts: AccountParts,
    merging: Merging,
    administrators: Administrators,
}

/// What a merge began with.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Origin {
    /// A user redeemed a ticket.
    Ticket,
    /// Two users have one union id.
    #[default]
    UnionId,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::UnionId => "union_id",
        }
    }
}

/// Which account is merged into which.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// What both are barred by.
    saga: SagaId,
    from: UserId,
    into: UserId,
    #[serde(default)]
    origin: Origin,
}

impl Subject {
    fn pair(&self) -> MergePair<'_> {
        MergePair {
            saga: &self.saga,
            from: self.from,
            into: self.into,
        }
    }
}

impl Saga for AccountMerge {
    const KIND: &'static str = MERGE;
    const STEPS: &'static [Step<Self>] = &[
        Step {
            name: "bar",
            run: |saga, of| saga.open(of).boxed(),
            undo: Undo::With(|saga, of: &Subject| saga.lift_both(of.pair()).boxed()),
        },
        Step {
            name: "identities",
            run: |saga, of| saga.move_identities(of.pair()).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "avatar",
            run: |saga, of| saga.parts.hand_over_avatar(of.from, of.into).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "fields",
            run: |saga, of| saga.move_fields(of.pair()).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "consents",
            run: |saga, of| saga.move_consents(of.pair()).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "sessions",
            run: |saga, of| saga.parts.end_sessions(of.from).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "avatars",
            run: |saga, of| {
                let parts = &saga.parts;
                parts.delete_or_hand_over_avatars(of.from, of.into).boxed()
            },
            undo: Undo::Impossible,
        },
        Step {
            name: "rows",
            run: |saga, of| saga.parts.delete_rows(of.from).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "profile",
            run: |saga, of| saga.delete_profile(of.pair()).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "late-rows",
            run: |saga, of| saga.parts.delete_rows(of.from).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "traces",
            run: |saga, of| saga.parts.remove_traces(of.from).boxed(),
            undo: Undo::Impossible,
        },
        Step {
            name: "lift",
            run: |saga, of| saga.prepare_lift(of.pair()).boxed(),
            undo: Undo::Impossible,
        },
    ];
    type Subject = Subject;

    /// The survivor is in use again exactly when the merge has ended: no later login would find
    /// one that had not.
    fn closing(&self, of: &Subject) -> Vec<Write> {
        vec![self.parts.barring.write_lift(of.pair().into_bar())]
    }

    fn after_end<'a>(&'a self, of: &'a Subject) -> BoxFuture<'a, ()> {
        self.parts.barring.tell_lifted(of.into).boxed()
    }
}

impl AccountMerge {
    /// Merges accounts with these parts. Accounts of `administrators` are not merged.
    #[must_use]
    pub fn new(parts: AccountParts, merging: Merging, administrators: Administrators) -> Self {
        Self {
            parts,
            merging,
            administrators,
        }
    }

    /// The name of the step at this position; none after the last one.
    #[must_use]
    pub fn step(position: usize) -> Option<&'static str> {
        Self::STEPS.get(position).map(|step| step.name)
    }

    /// Continues a merge where it stands.
    ///
    /// # Errors
    /// [`SagaError`].
    pub async fn resume(&self, saga: &SagaId) -> Result<Progress, SagaError> {
        self.parts.sagas.resume(self, saga).await
    }

    /// Brings the merge that bars `user` to its end. Afterwards this one bars the account no longer.
    ///
    /// # Errors
    /// [`SagaError::Busy`] if it did not end within this request's time; others of [`SagaError`].
    pub async fn end(&self, user: UserId, saga: &SagaId) -> Result<(), SagaError> {
        match self.resume(saga).await {
            // An ended merge has lifted its bars. If there is one nevertheless, nobody else would.
            Ok(Progress::Done | Progress::Undone) | Err(SagaError::NotFound) => {
                let bar = Bar {
                    user,
                    by: saga,
                    or_unnamed: false,
                };
                Ok(self.parts.barring.lift(bar).await?)
            }
            Ok(Progress::Waiting(_) | Progress::Unfinished) => Err(SagaError::Busy),
            Err(error) => Err(error),
        }
    }

    async fn open(&self, of: &Subject) -> StepOutcome {
        let next = self.confirm_bars(of.pair()).await?;
        tracing::info!(
            audit = "merge_begun", user_id = %of.from, into = %of.into, by = of.origin.name(),
            request_id = request::id(), "an account is going to be merged into another one"
        );
        Ok(next)
    }

    /// The bars were written when the saga began. Caches, and logins that had begun before, are told.
    async fn confirm_bars(&self, pair: MergePair<'_>) -> StepOutcome {
        let AccountParts { barring, .. } = &self.parts;
        let (from, into) = futures_util::try_join!(
            barring.confirm(pair.from_bar(), SessionsOf::Ending),
            barring.confirm(pair.into_bar(), SessionsOf::Staying)
        )?;
        if from && into {
            Ok(Next::Continue)
        } else {
            Err(StepError::Refused("the accounts are no longer barred"))
        }
    }

    async fn lift_both(&self, pair: MergePair<'_>) -> StepOutcome {
        self.parts.barring.lift(pair.from_bar()).await?;
        self.parts.barring.lift(pair.into_bar()).await?;
        Ok(Next::Continue)
    }

    /// Each identity with its union link. What is remembered for its next login leads to the account
    /// that ends.
    async fn move_identities(&self, pair: MergePair<'_>) -> StepOutcome {
        let AccountParts {
            barring,
            rows,
            traces,
            ..
        } = &self.parts;
        barring.close(pair.from_bar()).await?;
        let profile = rows.profile(pair.from).await?;
        for identity in Erasure::identities_of(pair.from, profile.as_ref()) {
            traces.remove_identity(&identity).await;
            self.merging.move_identity(pair, &identity).await?;
            // What a login that had begun before left meanwhile.
            traces.remove_identity(&identity).await;
        }
        Ok(Next::Continue)
    }

    /// A number that the survivor does not take is free again.
    async fn move_fields(&self, pair: MergePair<'_>) -> StepOutcome {
        self.merging.move_fields(pair).await?;
        let AccountParts { erasure, .. } = &self.parts;
        erasure.clear(pair.from, &[PersonalField::Phone]).await?;
        Ok(Next::Continue)
    }

    async fn move_consents(&self, pair: MergePair<'_>) -> StepOutcome {
        self.merging.move_consents(pair).await?;
        Ok(Next::Continue)
    }

    async fn delete_profile(&self, pair: MergePair<'_>) -> StepOutcome {
        let next = self.parts.delete_profile(pair.from_bar()).await?;
        tracing::info!(
            audit = "account_merged", user_id = %pair.from, into = %pair.into,
            request_id = request::id(), "an account was merged into another one"
        );
        Ok(next)
    }

    async fn prepare_lift(&self, pair: MergePair<'_>) -> StepOutcome {
        self.parts.barring.prepare(pair.into).await;
        Ok(Next::Continue)
    }
}
