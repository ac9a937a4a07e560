//! The control side of messages, codes and links, as methods.

use crate::control::customer_service;
use crate::control::subscription::{self, SubscriptionAnswer};
use crate::control_error::ControlError;
use crate::protocol::push::PushRequest;
use crate::simulator::Simulator;
use crate::state::inboxes::DeliveredMessage;
use crate::state::quotas::Quota;

impl Simulator {
    /// Answers `wx.requestSubscribeMessage` for one template; to accept allows one message more.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`], and [`ControlError::Invalid`] for a template's id that is not 43 letters,
    /// digits, `_` and `-`.
    pub fn subscribe(
        &self,
        user: &str,
        template_id: &str,
        answer: SubscriptionAnswer,
        app_id: Option<&str>,
    ) -> Result<(), ControlError> {
        self.with(|state, _| subscription::answer(state, user, template_id, answer, app_id))
    }

    /// The user takes all permissions for messages back, in the mini-program's settings.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn unsubscribe(&self, user: &str, app_id: Option<&str>) -> Result<(), ControlError> {
        let open_id = self.open_id(user, app_id)?;
        self.with(|state, _| state.subscriptions.withdraw(&open_id));
        Ok(())
    }

    /// How many messages of a template the user still allows.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn grants(
        &self,
        user: &str,
        template_id: &str,
        app_id: Option<&str>,
    ) -> Result<u32, ControlError> {
        let open_id = self.open_id(user, app_id)?;
        Ok(self.with(|state, _| state.subscriptions.left(&open_id, template_id)))
    }

    /// The user writes `text` to customer service, which allows five replies within 48 hours; or only opens
    /// customer service, which allows two within a minute. Returns the push, where message push is configured.
    ///
    /// # Errors
    /// As [`Simulator::push`].
    pub fn customer_service(
        &self,
        user: &str,
        text: Option<&str>,
        app_id: Option<&str>,
    ) -> Result<Option<PushRequest>, ControlError> {
        self.with(|state, now| customer_service::contact(state, now, user, text, app_id))
    }

    /// The messages that were delivered to the user, oldest first: the last 100.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn messages(
        &self,
        user: &str,
        app_id: Option<&str>,
    ) -> Result<Vec<DeliveredMessage>, ControlError> {
        let open_id = self.open_id(user, app_id)?;
        Ok(self.with(|state, _| state.inboxes.of(&open_id)))
    }

    /// Sets one of an app's quotas, of which nothing is used yet.
    ///
    /// # Errors
    /// [`ControlError::UnknownApp`].
    pub fn set_quota(
        &self,
        quota: Quota,
        max: u32,
        app_id: Option<&str>,
    ) -> Result<(), ControlError> {
        self.with(|state, _| {
            let app_id = state.apps.find(app_id).ok_or(ControlError::UnknownApp)?;
            state.quotas.set(app_id, quota, max);
            Ok(())
        })
    }

    /// Sets the pages that the published version of an app has, without queries. Before, it has every page.
    ///
    /// # Errors
    /// [`ControlError::UnknownApp`].
    pub fn set_pages(
        &self,
        pages: impl IntoIterator<Item = String>,
        app_id: Option<&str>,
    ) -> Result<(), ControlError> {
        let pages = pages.into_iter().collect();
        self.with(|state, _| {
            let app_id = state.apps.find(app_id).ok_or(ControlError::UnknownApp)?;
            state.pages.set(app_id, pages);
            Ok(())
        })
    }
}
