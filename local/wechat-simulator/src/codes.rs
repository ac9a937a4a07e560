//! Codes: of wx.login, and of the phone number button. Two stores, one behaviour.

use crate::bounded::{Bounded, MOST};
use crate::limits::MINUTE;

/// How long a code can be exchanged.
const LIFE: u64 = 5 * MINUTE;

/// Whose code or session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) app_id: String,
    pub(crate) user: String,
}

pub(crate) struct Code {
    pub(crate) owner: Owner,
    expires_at: u64,
    pub(crate) used: bool,
}

impl Code {
    pub(crate) const fn has_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }
}

/// Codes are remembered past their use and their end, so that the right error can be given for
/// them.
pub(crate) struct Codes(Bounded<String, Code>);

impl Codes {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(MOST))
    }

    pub(crate) fn issue(&mut self, code: &str, owner: Owner, now: u64) {
        let expires_at = now.saturating_add(LIFE);
        self.0.insert(
            code.to_owned(),
            Code {
                owner,
                expires_at,
                used: false,
            },
        );
    }

    pub(crate) fn find(&self, code: &str) -> Option<&Code> {
        self.0.peek(code)
    }

    pub(crate) fn spend(&mut self, code: &str) {
        if let Some(code) = self.0.get_mut(code) {
            code.used = true;
        }
    }
}
