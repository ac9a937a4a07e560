//! A login to an account that is barred: being deleted, or merged with another one.

use jiff::Timestamp;
use serde::Serialize;
use shared::{
    accounts::{AccountDeletion, BarredFor},
    api::{ApiError, Reason},
    ids::UserId,
    saga::{Progress, SagaError},
    telemetry::OrDegraded,
};

use super::{LoggedIn, Login};

/// What a person is told whose account is being deleted.
#[derive(Serialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "PendingDeletion")
)]
pub struct Pending {
    /// Until when it can be called back.
    #[cfg_attr(feature = "openapi", schemars(with = "String", extend("format" = "date-time")))]
    until: Timestamp,
}

impl Login {
    /// A deletion that began while this login was on its way may have ended all sessions before this
    /// one was stored.
    pub(super) async fn withdraw_if_barred(
        &self,
        result: Result<LoggedIn, ApiError>,
    ) -> Result<LoggedIn, ApiError> {
        let logged_in = result?;
        let barred = self.barring.has_barred(logged_in.user.id).await;
        if barred.or_degraded("barred accounts") != Some(true) {
            return Ok(logged_in);
        }
        Box::pin(self.sessions.discard(&logged_in.session)).await?;
        Err(Reason::SessionRevoked.into())
    }

    /// Brings what bars the person's account to its end, whichever it is: afterwards they have this
    /// account, another one or none.
    pub(super) async fn end_bar(&self, user: UserId, call_off: bool) -> Result<(), ApiError> {
        match self.sagas.bar_of(user).await? {
            // It has ended since.
            None => Ok(()),
            Some(BarredFor::Deletion) => self.end_deletion(user, call_off).await,
            Some(BarredFor::Merge(saga)) => Ok(self.sagas.merge.end(user, &saga).await?),
        }
    }

    /// An account that is barred although nothing goes on that would end it.
    pub(super) async fn mend(&self, user: UserId) -> Result<(), ApiError> {
        match self.sagas.bar_of(user).await? {
            None => Ok(()),
            Some(BarredFor::Deletion) => self.mend_deletion(user).await,
            Some(BarredFor::Merge(saga)) => Ok(self.sagas.merge.end(user, &saga).await?),
        }
    }

    async fn mend_deletion(&self, user: UserId) -> Result<(), ApiError> {
        let deletion = &self.sagas.deletion;
        match deletion.resume(&AccountDeletion::id(user)).await {
            Ok(Progress::Undone) => deletion.unbar(user).await?,
            Ok(Progress::Done) | Err(SagaError::NotFound) => {
                deletion.begin_now(user, None).await?;
            }
            Ok(Progress::Waiting(_) | Progress::Unfinished) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Brings the deletion of the person's account to its end, whichever it is.
    async fn end_deletion(&self, user: UserId, call_off: bool) -> Result<(), ApiError> {
        let deletion = &self.sagas.deletion;
        let resume = async || deletion.resume(&AccountDeletion::id(user)).await;
        let called_off = if call_off {
            deletion.call_off(user).await
        } else {
            Err(SagaError::TooLate)
        };
        let progress = match called_off {
            Err(SagaError::TooLate) => resume().await,
            progress => progress,
        };
        let progress = match progress {
            // Nothing goes on: see what the account is now.
            Err(SagaError::NotFound) => Progress::Done,
            progress => progress?,
        };
        match progress {
            Progress::Done | Progress::Undone => Ok(()),
            Progress::Waiting(until) => {
                Err(ApiError::new(Reason::AccountDeletionPending).with_data(&Pending { until }))
            }
            Progress::Unfinished => Err(Reason::Unavailable.into()),
        }
    }
}
