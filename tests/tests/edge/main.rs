//! What every request passes: who called, how long it may take, how many at once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client_ip;
mod deadline;
mod overload;
