//! The requests that are measured.

use serde_json::{Value, json};

/// The number of users, which log in in turn.
pub const USERS: u64 = 100;

/// Generates unused `wx.login` codes, for each user in turn.
#[derive(Debug, Default)]
pub struct Codes(u64);

impl Codes {
    /// The body of the next login.
    pub fn login(&mut self) -> Value {
        self.0 += 1;
        json!({"code": format!("user{}.{:012}", self.0 % USERS, self.0)})
    }
}
