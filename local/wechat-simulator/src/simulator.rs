//! The simulated WeChat as a value: its state behind a lock, its clock, and the control side as
//! methods.

mod messaging;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::control::app_user;
use crate::control::codes;
use crate::control::encrypted_data::{self, DataKind, EncryptedData, EncryptedMessage};
use crate::control::media_verdict;
use crate::control::push::{self, PushOrder};
use crate::control::session_key::{self, SessionKeyAction};
use crate::control_error::ControlError;
use crate::protocol::push::{MediaReader, PushConfig, PushRequest, PushTransport};
use crate::state::State;
use crate::state::fault::Fault;
use crate::state::media_checks::MediaCheck;
use crate::state::users::UserChange;

/// The source of the time. Tests pass a clock that they set.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The simulated WeChat. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    clock: Clock,
    state: Arc<Mutex<State>>,
    transport: Arc<OnceLock<PushTransport>>,
    media_reader: Arc<OnceLock<MediaReader>>,
}

impl Simulator {
    /// Simulates WeChat for these mini-programs, pairs of appid and secret. The first one is the
    /// default app of the control side.
    ///
    /// Uses the system's clock and randomness.
    #[must_use]
    pub fn new(apps: impl IntoIterator<Item = (String, String)>) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the system's clock is injected"
        )]
        let clock: Clock = Arc::new(SystemTime::now);
        Self::with_clock(apps, clock, None)
    }

    /// The same with a given clock. With a `seed`, codes, keys and tokens are the same in every run.
    #[must_use]
    pub fn with_clock(
        apps: impl IntoIterator<Item = (String, String)>,
        clock: Clock,
        seed: Option<u64>,
    ) -> Self {
        Self {
            clock,
            state: Arc::new(Mutex::new(State::new(apps, seed))),
            transport: Arc::default(),
            media_reader: Arc::default(),
        }
    }

    /// Simulates `wx.login`: returns a code for code2Session that works once, within 5 minutes.
    ///
    /// # Errors
    /// [`ControlError::UnknownApp`], and [`ControlError::Invalid`] for a user's name that is empty,
    /// longer than 64 characters or has control characters.
    pub fn mint_code(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        self.with(|state, now| codes::login_code(state, now, user, app_id))
    }

    /// Simulates the phone number button: returns a code for getPhoneNumber that works once, within 5
    /// minutes. It is no login code.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn phone_code(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        self.with(|state, now| codes::phone_code(state, now, user, app_id))
    }

    /// Data encrypted with the user's current `session_key`, as the phone passes it to the
    /// mini-program.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`], and [`ControlError::NotLoggedIn`] before the user's first
    /// code2Session.
    pub fn encrypted_data(
        &self,
        user: &str,
        kind: DataKind,
        app_id: Option<&str>,
    ) -> Result<EncryptedData, ControlError> {
        self.with(|state, now| encrypted_data::encrypted_data(state, now, user, kind, app_id))
    }

    /// A text encrypted with the user's latest encryption key, as a mini-program does with
    /// `wx.getUserCryptoManager()`.
    ///
    /// # Errors
    /// As [`Simulator::encrypted_data`].
    pub fn encrypted_message(
        &self,
        user: &str,
        text: &str,
        app_id: Option<&str>,
    ) -> Result<EncryptedMessage, ControlError> {
        self.with(|state, now| encrypted_data::encrypted_message(state, now, user, text, app_id))
    }

    /// Changes a user's attributes.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] for an invalid name, unionid, phone number or country code.
    pub fn change_user(&self, user: &str, change: UserChange) -> Result<(), ControlError> {
        self.with(|state, _| app_user::change(state, user, change))
    }

    /// Replaces or expires the user's `session_key` without notifying the server, as WeChat does at
    /// times.
    ///
    /// # Errors
    /// As [`Simulator::encrypted_data`].
    pub fn session_key(
        &self,
        user: &str,
        action: SessionKeyAction,
        app_id: Option<&str>,
    ) -> Result<(), ControlError> {
        self.with(|state, now| session_key::apply(state, now, user, action, app_id))
    }

    /// Sets the message push settings of the mini-programs, in place of all previous ones.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] for an invalid `EncodingAESKey`.
    pub fn configure_push(
        &self,
        configs: impl IntoIterator<Item = PushConfig>,
    ) -> Result<(), ControlError> {
        let configs: Vec<_> = configs.into_iter().collect();
        configs.iter().try_for_each(PushConfig::validate)?;
        self.with(|state, _| state.push_configs = configs);
        Ok(())
    }

    /// The request that WeChat would send to the callback URL.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`], and [`ControlError::Invalid`] for an order that can't be carried
    /// out.
    pub fn push(&self, order: &PushOrder) -> Result<PushRequest, ControlError> {
        self.with(|state, now| push::request(state, now, order))
    }

    /// Delivers the requests of `POST /_control/push` with this transport. It can be set once: later
    /// calls have no effect.
    pub fn set_transport(&self, transport: PushTransport) {
        let _ = self.transport.set(transport);
    }

    pub(crate) fn transport(&self) -> Option<PushTransport> {
        self.transport.get().cloned()
    }

    /// Reads pictures that are to be checked with this reader, and pushes the verdicts with the
    /// transport. It can be set once: later calls have no effect. Without it, checks wait until they
    /// are taken ([`Simulator::take_media_checks`]).
    pub fn set_media_reader(&self, reader: MediaReader) {
        let _ = self.media_reader.set(reader);
    }

    /// The pictures that wait for a verdict, oldest first; they wait no longer.
    #[must_use]
    pub fn take_media_checks(&self) -> Vec<MediaCheck> {
        self.with(|state, _| state.media_checks.take())
    }

    /// The push with WeChat's verdict on a picture with this content; `None` is one that WeChat could
    /// not read.
    ///
    /// # Errors
    /// As [`Simulator::push`], and [`ControlError::NotLoggedIn`] for a user who never logged in.
    pub fn media_verdict(
        &self,
        check: &MediaCheck,
        content: Option<&[u8]>,
    ) -> Result<PushRequest, ControlError> {
        self.with(|state, now| media_verdict::request(state, now, check, content))
    }

    /// Pushes the verdicts on all pictures that wait, in a task of its own, where there is a reader and
    /// a transport.
    pub(crate) fn deliver_verdicts(&self) {
        let (Some(reader), Some(transport)) = (self.media_reader.get(), self.transport()) else {
            return;
        };
        for check in self.take_media_checks() {
            let (simulator, transport) = (self.clone(), Arc::clone(&transport));
            let content = reader(check.media_url.clone());
            tokio::spawn(async move {
                let content = content.await;
                // Without push settings for the app there is nobody to tell.
                if let Ok(push) = simulator.media_verdict(&check, content.as_deref()) {
                    transport(push).await;
                }
            });
        }
    }

    /// The user's openid in an app: 28 characters that begin with `o`, the same in every run.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn open_id(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        let user = self.with(|state, _| app_user::find(state, user, app_id))?;
        Ok(user.open_id())
    }

    /// Sets these faults, in place of all previous ones.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] names what is wrong; nothing is changed then.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) -> Result<(), ControlError> {
        let faults = faults.into_iter().collect();
        self.with(|state, _| state.faults.replace(faults))
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.with(|state, _| state.faults.clear());
    }

    /// The number of calls to one of WeChat's paths so far, including those with a fault.
    #[must_use]
    pub fn calls(&self, path: &str) -> u64 {
        self.with(|state, _| state.calls.of(path))
    }

    /// The number of calls to each path that was called.
    #[must_use]
    pub fn all_calls(&self) -> BTreeMap<String, u64> {
        self.with(|state, _| state.calls.all())
    }

    /// Runs `work` on the state, with the time in milliseconds since 1970. `work` is not async, so the
    /// lock is never held across an await.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> T {
        let since_1970 = (self.clock)()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        // A test that panics while it holds the lock must not fail others.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut state, now)
    }
}

impl fmt::Debug for Simulator {
    /// App ids only: the rest of the state is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apps = self.with(|state, _| state.apps.ids());
        f.debug_struct("Simulator")
            .field("apps", &apps)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_app_ids_and_no_secret() {
        let simulator = Simulator::new([("wxone".to_owned(), "hush-hush".to_owned())]);
        let shown = format!("{simulator:?}");
        assert!(shown.contains("wxone"), "{shown}");
        assert!(!shown.contains("hush-hush"), "{shown}");
    }

    #[test]
    fn the_same_seed_gives_the_same_codes() {
        let clock: Clock = Arc::new(|| UNIX_EPOCH);
        let code = |seed| {
            let apps = [("wxone".to_owned(), "s".to_owned())];
            Simulator::with_clock(apps, Arc::clone(&clock), Some(seed)).mint_code("alice", None)
        };
        assert_eq!(code(7), code(7));
        assert_ne!(code(7), code(8));
    }
}
