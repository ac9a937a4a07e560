//! The backend over HTTP, inside the test process: a module for each route, or for each promise
//! that several routes share.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is read from top to bottom"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod activity;
mod avatar;
mod bad_input;
mod callback;
mod callers;
mod config;
mod dynamodb_faults;
mod edge;
mod keys;
mod login;
mod many_sessions;
mod messages;
mod playground;
mod refresh;
mod sealed_bodies;
mod sessions;
mod user_data;
mod user_info;
mod users;
mod webhooks;
mod wechat_access_token;
