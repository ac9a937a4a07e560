//! The simulator over HTTP: in process, and once over a real socket.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is read from top to bottom"
)]
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod access_token;
mod codes_and_links;
mod control;
mod faults;
mod login;
mod media_check;
mod messages;
mod phone;
mod push;
mod robustness;
mod sec_check;
mod session_keys;
mod socket;
mod support;
