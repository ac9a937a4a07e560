//! Everything that the simulated WeChat remembers.

pub(crate) mod access_tokens;
pub(crate) mod apps;
pub(crate) mod bounded_map;
pub(crate) mod call_counts;
pub(crate) mod codes;
pub(crate) mod fault;
pub(crate) mod faults;
pub(crate) mod inboxes;
pub(crate) mod media_checks;
pub(crate) mod pages;
pub(crate) mod quotas;
pub(crate) mod rate_window;
pub(crate) mod reply_windows;
pub(crate) mod sessions;
pub(crate) mod subscriptions;
pub(crate) mod users;

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::protocol::call::ApiCall;
use crate::protocol::errcode::{self, ApiError};
use crate::protocol::push::PushConfig;
use crate::state::access_tokens::AccessTokenStore;
use crate::state::apps::Apps;
use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::state::call_counts::CallCounts;
use crate::state::codes::IssuedCodes;
use crate::state::faults::Faults;
use crate::state::inboxes::Inboxes;
use crate::state::media_checks::MediaChecks;
use crate::state::pages::Pages;
use crate::state::quotas::{Quota, Quotas};
use crate::state::rate_window::RateWindow;
use crate::state::reply_windows::ReplyWindows;
use crate::state::sessions::Sessions;
use crate::state::subscriptions::Subscriptions;
use crate::state::users::Users;

pub(crate) struct State {
    pub(crate) apps: Apps,
    pub(crate) rng: StdRng,
    pub(crate) users: Users,
    pub(crate) login_codes: IssuedCodes,
    pub(crate) phone_codes: IssuedCodes,
    pub(crate) sessions: Sessions,
    pub(crate) access_tokens: AccessTokenStore,
    /// code2Session's limit, by openid.
    pub(crate) login_rate: BoundedMap<String, RateWindow>,
    /// `msg_sec_check`'s limit, by appid.
    pub(crate) sec_check_rate: HashMap<String, RateWindow>,
    /// `media_check_async`'s limit, by appid.
    pub(crate) media_check_rate: HashMap<String, RateWindow>,
    pub(crate) media_checks: MediaChecks,
    pub(crate) quotas: Quotas,
    pub(crate) pages: Pages,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) reply_windows: ReplyWindows,
    pub(crate) inboxes: Inboxes,
    pub(crate) push_configs: Vec<PushConfig>,
    pub(crate) faults: Faults,
    pub(crate) calls: CallCounts,
}

impl State {
    /// `apps` are pairs of appid and secret.
    pub(crate) fn new(apps: impl IntoIterator<Item = (String, String)>, seed: Option<u64>) -> Self {
        Self {
            apps: Apps::new(apps),
            rng: seed.map_or_else(system_rng, StdRng::seed_from_u64),
            users: Users::new(),
            login_codes: IssuedCodes::new(),
            phone_codes: IssuedCodes::new(),
            sessions: Sessions::new(),
            access_tokens: AccessTokenStore::new(),
            login_rate: BoundedMap::new(MAX_ENTRIES),
            sec_check_rate: HashMap::new(),
            media_check_rate: HashMap::new(),
            media_checks: MediaChecks::default(),
            quotas: Quotas::default(),
            pages: Pages::default(),
            subscriptions: Subscriptions::new(),
            reply_windows: ReplyWindows::new(),
            inboxes: Inboxes::new(),
            push_configs: Vec::new(),
            faults: Faults::default(),
            calls: CallCounts::default(),
        }
    }

    /// The app whose access token the call carries.
    pub(crate) fn authorized_app(&self, call: &ApiCall) -> Result<String, ApiError> {
        self.access_tokens
            .check(call.param("access_token"), call.now)
    }

    /// Counts a call against the app's quota.
    pub(crate) fn charge(&mut self, app_id: &str, quota: Quota, now: u64) -> Result<(), ApiError> {
        if self.quotas.admit(app_id, quota, now) {
            Ok(())
        } else {
            Err(errcode::DAILY_LIMIT)
        }
    }

    /// Rejects an openid that is not of this app, or of no user who has used it.
    pub(crate) fn require_user(&self, open_id: &str, app_id: &str) -> Result<(), ApiError> {
        let session = self.sessions.find(open_id);
        if session.is_some_and(|session| session.owner.app_id == app_id) {
            Ok(())
        } else {
            Err(errcode::INVALID_OPENID)
        }
    }
}

fn system_rng() -> StdRng {
    rand::make_rng()
}
