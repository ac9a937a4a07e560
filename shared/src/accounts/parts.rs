//! What sagas on whole accounts are carried out with, and the steps that several of them have.

use std::time::Duration;

use futures_util::{TryStreamExt, future::ready};
use tokio::time::{Instant, sleep};

use crate::{
    auth::{Revoker, Sessions},
    clock::Clock,
    dynamo::{self, Condition, Dynamo, DynamoError},
    ids::UserId,
    request::{
        self,
        deadline::{self, LongWork},
    },
    saga::{Next, Sagas, StepError},
    users::{AvatarError, Avatars, Bar, Barring, Erasure, Traces, UserRows},
};

/// Rows that are deleted at the same time.
const CONCURRENCY: usize = 16;
/// How long a picture that is being published is waited for, and how often it is looked at.
const FOR_PUBLISHING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How a step ends.
pub(super) type StepOutcome = Result<Next, StepError>;

/// What sagas on accounts are carried out with. Cheap to clone.
#[derive(Clone)]
pub struct AccountParts {
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
    /// Deletes pictures, or gives them to another account.
    pub avatars: Avatars,
    /// Removes what shared state remembers of a user.
    pub traces: Traces,
    /// What time it is.
    pub clock: Clock,
}

impl AccountParts {
    pub(super) async fn end_sessions(&self, user: UserId) -> StepOutcome {
        self.sessions
            .revoke_all(user, None, Revoker::SERVICE)
            .await?;
        Ok(Next::Continue)
    }

    /// Pictures, before the rows that know of them. One that is being published, by a request that was
    /// admitted before the account was barred, is waited for.
    pub(super) async fn delete_avatars(&self, user: UserId) -> StepOutcome {
        let end = Instant::now() + deadline::cap(FOR_PUBLISHING);
        loop {
            match self.avatars.remove_all(user).await.map_err(failure)? {
                None => return Ok(Next::Continue),
                Some(_) if Instant::now() < end => sleep(LOOK_AGAIN).await,
                Some(_) => {
                    let why = "an avatar is being published".to_owned();
                    return Err(StepError::Unavailable(why));
                }
            }
        }
    }

    /// The pictures of an account that is merged into another one, which takes what can't be deleted
    /// now: it would be barred for as long as the store is down.
    pub(super) async fn delete_or_hand_over_avatars(
        &self,
        from: UserId,
        into: UserId,
    ) -> StepOutcome {
        let removed = self.avatars.remove_all_or_hand_over(from, into).await;
        removed.map_err(failure)?;
        Ok(Next::Continue)
    }

    /// The avatar, if the surviving account has none.
    pub(super) async fn hand_over_avatar(&self, from: UserId, into: UserId) -> StepOutcome {
        let given = self.avatars.hand_over(from, into).await;
        given.map_err(failure)?;
        Ok(Next::Continue)
    }

    /// What stands in the user's partition beside the profile.
    pub(super) async fn delete_rows(&self, user: UserId) -> StepOutcome {
        let work = LongWork::begin();
        self.rows
            .own(user, None)
            .try_take_while(|_| ready(Ok(work.may_go_on())))
            .map_ok(|row| async move {
                let key = dynamo::key(row.pk(), row.sk());
                let deleted = self.dynamo.delete(key, Condition::exists());
                deleted.await.map(drop)
            })
            .try_buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        if !work.may_go_on() {
            return Err(DynamoError::out_of_time().into());
        }
        Ok(Next::Continue)
    }

    pub(super) async fn delete_profile(&self, bar: Bar<'_>) -> StepOutcome {
        self.barring.delete_profile(bar).await?;
        Ok(Next::Continue)
    }

    pub(super) async fn remove_traces(&self, user: UserId) -> StepOutcome {
        self.traces.remove_user(user).await;
        self.sessions.forget_known(user).await;
        Ok(Next::Continue)
    }
}

fn failure(error: AvatarError) -> StepError {
    match error {
        AvatarError::Dynamo(error) => error.into(),
        error => StepError::Unavailable(error.to_string()),
    }
}

/// For the log of who did what.
pub(super) fn audit(user: UserId, audit: &'static str, what: &'static str) {
    let request_id = request::id();
    tracing::info!(audit, user_id = %user, request_id, "{what}");
}
