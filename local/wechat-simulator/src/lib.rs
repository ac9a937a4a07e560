//! A simulator of `api.weixin.qq.com`, for local runs and tests. It is never deployed.
//!
//! It answers what WeChat answers, errors included, strictly enough that a WeChat SDK works against
//! it with nothing but its base URL changed. It shares no code with the project's own WeChat
//! client: each is a separate reading of WeChat's pages, and the tests hold one against the other.
//!
//! ```no_run
//! use wechat_simulator::Simulator;
//!
//! let simulator = Simulator::new([("wx0123456789abcdef".to_owned(), "a secret".to_owned())]);
//! // Drop-in for https://api.weixin.qq.com, here below a prefix:
//! let app: axum::Router = axum::Router::new().nest("/_wechat", simulator.router());
//! ```
//!
//! # WeChat's side
//!
//! | path | what |
//! |---|---|
//! | `GET /sns/jscode2session` | code2Session; answers as `text/plain`, as WeChat does |
//! | `POST /cgi-bin/stable_token` · `GET /cgi-bin/token` | access tokens, two separate families |
//! | `POST /wxa/business/getuserphonenumber` | the phone number behind a phone code |
//! | `GET /wxa/checksession` · `GET /wxa/resetusersessionkey` | is this `session_key` current; replace it |
//! | `GET /wxa/business/getuserencryptkey` | the user's encryption keys (`POST` too, as in WeChat's own sample) |
//! | `POST /wxa/msg_sec_check` | text moderation, version 2 |
//!
//! Every answer is HTTP 200 with `errcode` in its body, save for injected faults.
//!
//! # What only `wx.*` in the phone can do: the control side
//!
//! Bodies and answers are JSON whatever the content type says (so that `curl -d` works); a mistake
//! is a 400 with `{"error": "..."}`. `appId` may be left out everywhere: then it is the first app.
//!
//! | call | what |
//! |---|---|
//! | `POST /_control/code` `{user, appId?}` | `wx.login`: answers `{code}` |
//! | `POST /_control/phone-code` `{user, appId?}` | the button that shares a phone number: answers `{code}` |
//! | `POST /_control/encrypted-data` `{user, kind, appId?}` | `kind` is `userinfo`, `phone` or `werun`: answers `{encryptedData, iv, rawData?, signature?}`; 409 before the user's first login |
//! | `POST /_control/encrypted-message` `{user, text, appId?}` | what a mini-program encrypts with `wx.getUserCryptoManager()`: answers `{encryptedData, version}`; 409 before the user's first login |
//! | `PUT /_control/users` [`UserChange`] and `user` | what WeChat knows of a user |
//! | `POST /_control/session-key` `{user, action, appId?}` | `action` is `rotate` or `expire` |
//! | `POST /_control/push` [`PushOrder`] | signs and encrypts what WeChat would push, and delivers it where [`Simulator::deliver_by`] says: answers `{request, status?, answer?}` |
//! | `GET` · `PUT` · `DELETE /_control/faults` | [`Fault`]: one, or a list of them; a `PUT` replaces those before |
//! | `GET /_control/calls` | how many calls each path of WeChat's received |
//!
//! # Where WeChat leaves it open
//!
//! - WeChat may keep a `session_key` over several `wx.login`; here **each code2Session makes a new
//!   one**, the harder case for a server. [`UserChange::keep_session_key`] gives the other
//!   behaviour.
//! - A `session_key` lives 3 days. A reset of it is refused (45011) past 10 a minute for one user.
//! - Rate windows start with their first call and not on the clock's minute or day.
//! - An openid or unionid is derived from the app and the user's name: the same in every run.
//! - `msg_sec_check` finds [`RISKY_KEYWORD`] risky and [`REVIEW_KEYWORD`] in need of a review, and
//!   passes the rest.
//! - All state is in memory and bounded: past 100,000 codes, users or sessions the oldest go.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that fails may panic")
)]

mod access_token;
mod answer;
mod apps;
mod bounded;
mod calls;
mod cgi_bin;
mod codes;
mod control;
mod control_http;
mod crypto;
mod endpoint;
mod errcode;
mod faults;
mod ids;
mod limits;
mod phone;
mod push;
mod sealed_data;
mod sec_check;
mod session_keys;
mod sessions;
mod sns;
mod users;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;

pub use control::{ControlError, SessionKeyAction};
pub use faults::{Fault, Garbage};
pub use push::{Courier, PushAnswer, PushConfig, PushFormat, PushMode, PushOrder, PushRequest};
pub use sealed_data::{DataKind, EncryptedData, EncryptedMessage};
pub use sec_check::{REVIEW_KEYWORD, RISKY_KEYWORD};
pub use users::{UnionId, UserChange};

use world::World;

/// Where the simulator reads the time. Tests pass one that they move by hand.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The simulated WeChat. Clones share one state.
#[derive(Clone)]
pub struct Simulator {
    clock: Clock,
    world: Arc<Mutex<World>>,
    courier: Arc<OnceLock<Courier>>,
}

impl Simulator {
    /// A WeChat that knows these mini-programs, as pairs of appid and secret. The first is the
    /// default app of the control side.
    ///
    /// Uses the system's clock and randomness.
    #[must_use]
    pub fn new(apps: impl IntoIterator<Item = (String, String)>) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "this is where the real clock is handed in"
        )]
        let clock: Clock = Arc::new(SystemTime::now);
        Self::with_clock(apps, clock, None)
    }

    /// The same on a clock of the caller's. With a `seed` codes, keys and tokens are the same in
    /// every run.
    #[must_use]
    pub fn with_clock(
        apps: impl IntoIterator<Item = (String, String)>,
        clock: Clock,
        seed: Option<u64>,
    ) -> Self {
        let world = World::new(apps, seed);
        Self {
            clock,
            world: Arc::new(Mutex::new(world)),
            courier: Arc::default(),
        }
    }

    /// WeChat's paths and `/_control/*`. Can be nested below any prefix.
    pub fn router(&self) -> Router {
        endpoint::router(self).nest("/_control", control_http::router(self))
    }

    /// What `wx.login` gives the user in this app: a code for code2Session. Single use, lives 5
    /// minutes.
    ///
    /// # Errors
    /// An unknown app, or a user's name that is empty or too long.
    pub fn mint_code(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        self.with(|world, now| control::mint_code(world, now, user, app_id))
    }

    /// What the phone number button gives: a code for getPhoneNumber. Single use, lives 5 minutes,
    /// and not exchangeable with a login code.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn phone_code(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        self.with(|world, now| control::phone_code(world, now, user, app_id))
    }

    /// What the phone hands over for decryption, sealed with the user's current `session_key`.
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
        self.with(|world, now| control::encrypted_data(world, now, user, kind, app_id))
    }

    /// What the mini-program itself encrypts, with the user's latest encryption key.
    ///
    /// # Errors
    /// As [`Simulator::encrypted_data`].
    pub fn encrypted_message(
        &self,
        user: &str,
        text: &str,
        app_id: Option<&str>,
    ) -> Result<EncryptedMessage, ControlError> {
        self.with(|world, now| control::encrypted_message(world, now, user, text, app_id))
    }

    /// Changes what WeChat knows of a user.
    ///
    /// # Errors
    /// A user's name, unionid or phone number that can't be one.
    pub fn change_user(&self, user: &str, change: UserChange) -> Result<(), ControlError> {
        self.with(|world, _| control::change_user(world, user, change))
    }

    /// Replaces or ends the user's `session_key` behind the server's back, as WeChat does at times.
    ///
    /// # Errors
    /// As [`Simulator::encrypted_data`].
    pub fn session_key(
        &self,
        user: &str,
        action: SessionKeyAction,
        app_id: Option<&str>,
    ) -> Result<(), ControlError> {
        self.with(|world, now| control::session_key(world, now, user, action, app_id))
    }

    /// What the consoles of these mini-programs hold for message push, in place of what was said
    /// before.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] for a key that can't be one.
    pub fn configure_push(
        &self,
        configs: impl IntoIterator<Item = PushConfig>,
    ) -> Result<(), ControlError> {
        let configs: Vec<_> = configs.into_iter().collect();
        configs.iter().try_for_each(push::check)?;
        self.with(|world, _| world.pushes = configs);
        Ok(())
    }

    /// A request as WeChat would push it.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`], and [`ControlError::Invalid`] for an order that makes no sense.
    pub fn push(&self, order: &PushOrder) -> Result<PushRequest, ControlError> {
        self.with(|world, now| push::request(world, now, order))
    }

    /// Brings what the control side pushes to the server. The first one that is given stays.
    pub fn deliver_by(&self, courier: Courier) {
        // One is enough, and who came first is as good.
        let _ = self.courier.set(courier);
    }

    /// The courier, if there is one.
    pub(crate) fn courier(&self) -> Option<Courier> {
        self.courier.get().cloned()
    }

    /// The user's openid in an app: 28 characters that begin with `o`, the same in every run.
    ///
    /// # Errors
    /// As [`Simulator::mint_code`].
    pub fn open_id(&self, user: &str, app_id: Option<&str>) -> Result<String, ControlError> {
        self.with(|world, _| control::open_id(world, user, app_id))
    }

    /// Puts these faults in place of those set before.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] names what is wrong; then nothing has changed.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) -> Result<(), ControlError> {
        let faults = faults.into_iter().collect();
        self.with(|world, _| world.faults.replace(faults))
    }

    /// From now on WeChat is healthy.
    pub fn clear_faults(&self) {
        self.with(|world, _| world.faults.clear());
    }

    /// How many calls this path of WeChat's received so far, those that met a fault included.
    #[must_use]
    pub fn calls(&self, path: &str) -> u64 {
        self.with(|world, _| world.calls.of(path))
    }

    /// The same for all paths that were called.
    #[must_use]
    pub fn all_calls(&self) -> BTreeMap<String, u64> {
        self.with(|world, _| world.calls.all())
    }

    /// Runs `work` on the state, with the time in milliseconds since 1970. The lock is never held
    /// over an await: `work` is not async.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut World, u64) -> T) -> T {
        let since_1970 = (self.clock)()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        // A test that panicked while it held the lock must not fail all the others.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut world, now)
    }
}

impl fmt::Debug for Simulator {
    /// App ids only: the state is full of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apps = self.with(|world, _| world.apps.ids());
        f.debug_struct("Simulator")
            .field("apps", &apps)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_names_apps_and_no_secret() {
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
