//! `GET` and `POST /api/v1/wechat/callback`, with state in the process and with a real Redis.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forgetting;
mod hostile;
mod messages;
mod once;
mod scene;
