//! The state machines that instances share exist twice: in Lua, for Redis, and in Rust, for this
//! process's memory. Here they are shown to be one: random histories drive both, and every reply
//! and everything stored is the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod breaker;
mod fleet;
mod rate_limit;
mod twin;
