//! The requests that are measured.

use serde_json::{Value, json};

/// The number of users, which log in in turn.
pub const USERS: u64 = 100;

/// From one user to the next: a prime, so that each has a turn before any has a second one, and
/// neighbours in the table don't follow each other.
const STRIDE: u64 = 7_919;

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
        let user = self.drawn * STRIDE % self.users;
        json!({"code": format!("user{user}.{:012}", self.drawn)})
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self::of(USERS)
    }
}
