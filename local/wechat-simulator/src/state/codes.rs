//! One-time codes: those of `wx.login` and those of the phone number button behave alike.

use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::state::users::AppUser;
use crate::time::MINUTE;

/// How long a code can be exchanged.
const LIFETIME: u64 = 5 * MINUTE;

pub(crate) struct IssuedCode {
    pub(crate) owner: AppUser,
    expires_at: u64,
    pub(crate) used: bool,
}

impl IssuedCode {
    pub(crate) const fn has_expired(&self, now: u64) -> bool {
        now >= self.expires_at
    }
}

/// Used and expired codes are kept, so that they get errors of their own.
pub(crate) struct IssuedCodes(BoundedMap<String, IssuedCode>);

impl IssuedCodes {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    pub(crate) fn issue(&mut self, code: &str, owner: AppUser, now: u64) {
        let expires_at = now.saturating_add(LIFETIME);
        self.0.insert(
            code.to_owned(),
            IssuedCode {
                owner,
                expires_at,
                used: false,
            },
        );
    }

    pub(crate) fn find(&self, code: &str) -> Option<&IssuedCode> {
        self.0.peek(code)
    }

    pub(crate) fn mark_used(&mut self, code: &str) {
        if let Some(code) = self.0.get_mut(code) {
            code.used = true;
        }
    }
}
