//! Everything that the simulated WeChat remembers.

pub(crate) mod access_tokens;
pub(crate) mod apps;
pub(crate) mod bounded_map;
pub(crate) mod call_counts;
pub(crate) mod codes;
pub(crate) mod fault;
pub(crate) mod faults;
pub(crate) mod media_checks;
pub(crate) mod rate_window;
pub(crate) mod sessions;
pub(crate) mod users;

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::protocol::call::ApiCall;
use crate::protocol::errcode::ApiError;
use crate::protocol::push::PushConfig;
use crate::state::access_tokens::AccessTokenStore;
use crate::state::apps::Apps;
use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::state::call_counts::CallCounts;
use crate::state::codes::IssuedCodes;
use crate::state::faults::Faults;
use crate::state::media_checks::MediaChecks;
use crate::state::rate_window::RateWindow;
use crate::state::sessions::Sessions;
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
}

fn system_rng() -> StdRng {
    rand::make_rng()
}
