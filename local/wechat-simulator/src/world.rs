//! All that the simulated WeChat remembers.

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::access_token::AccessTokens;
use crate::apps::Apps;
use crate::bounded::{Bounded, MOST};
use crate::calls::Calls;
use crate::codes::Codes;
use crate::faults::Faults;
use crate::limits::Window;
use crate::push::PushConfig;
use crate::sessions::Sessions;
use crate::users::Users;

pub(crate) struct World {
    pub(crate) apps: Apps,
    pub(crate) rng: StdRng,
    pub(crate) users: Users,
    pub(crate) login_codes: Codes,
    pub(crate) phone_codes: Codes,
    pub(crate) sessions: Sessions,
    pub(crate) access_tokens: AccessTokens,
    /// code2Session's limit, by openid.
    pub(crate) login_rate: Bounded<String, Window>,
    /// `msg_sec_check`'s limit, by app.
    pub(crate) sec_check_rate: HashMap<String, Window>,
    pub(crate) pushes: Vec<PushConfig>,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
}

impl World {
    pub(crate) fn new(apps: impl IntoIterator<Item = (String, String)>, seed: Option<u64>) -> Self {
        Self {
            apps: Apps::new(apps),
            rng: seed.map_or_else(randomness, StdRng::seed_from_u64),
            users: Users::new(),
            login_codes: Codes::new(),
            phone_codes: Codes::new(),
            sessions: Sessions::new(),
            access_tokens: AccessTokens::new(),
            login_rate: Bounded::new(MOST),
            sec_check_rate: HashMap::new(),
            pushes: Vec::new(),
            faults: Faults::default(),
            calls: Calls::default(),
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is where real randomness is handed in"
)]
fn randomness() -> StdRng {
    rand::make_rng()
}
