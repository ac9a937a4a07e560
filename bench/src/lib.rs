//! What `make bench`, `make load` and the test of the budget measure with.
//!
//! Redis, and a process with DynamoDB and a simulated WeChat that responds at once, run on
//! loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failed measurement ends the program"
)]

pub mod backends;
pub mod billed;
pub mod burst;
pub mod functions;
pub mod gateway;
pub mod growth;
mod load;
pub mod load_test;
pub mod machine;
mod plot;
pub mod requests;
mod responses;
mod server;
mod services;
mod stats;
mod traffic;
pub mod wechat;
