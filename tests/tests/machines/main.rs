//! The Lua and Rust implementations agree. The state machines that instances share exist twice: in
//! Lua, for Redis, and in Rust, for process memory. Random histories drive both, and every reply
//! and every stored value must be the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod breaker;
mod comparison;
mod fleet;
mod known_sessions;
mod rate_limit;
