//! The requests that are measured.

use serde_json::{Value, json};

/// The number of users, which log in in turn.
pub const USERS: u64 = 100;

/// Generates unused `wx.login` codes, for each user in turn.
#[derive(Debug)]
pub struct Codes {
    users: u64,
    drawn: u64,
}

impl Codes {
    /// Codes of this many users.
    #[must_use]
    pub fn of(users: u64) -> Self {
        Self { users, drawn: 0 }
    }

    /// The body of the next login.
    pub fn login(&mut self) -> Value {
        self.drawn += 1;
        json!({"code": format!("user{}.{:012}", self.drawn % self.users, self.drawn)})
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self::of(USERS)
    }
}
