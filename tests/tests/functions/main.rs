//! Each function's binary, as it is deployed, over the Lambda Runtime API.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod concurrency;
mod contents;
mod emulator;
mod faults;
mod key_sources;
mod log;
mod metrics;
mod sample_events;
mod sealed;
mod several_instances;
mod stage;
mod start;
mod watch;
