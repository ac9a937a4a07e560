//! The real binaries: each function over the Lambda Runtime API, as deployed, and the gateway of
//! `make run`.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is read from top to bottom"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod authorizer;
mod concurrency;
mod contents;
mod deletion;
mod emulator;
mod events;
mod extend;
mod faults;
mod gateway;
mod harness;
mod incidents;
mod insights;
mod jose_clients;
mod key_sources;
mod log;
mod merging;
mod messages;
mod metrics;
mod phone;
mod pictures;
mod proxies;
mod sample_events;
mod schemathesis;
mod sealed;
mod server;
mod several_instances;
mod smoke;
mod snippets;
mod stack;
mod start;
mod watch;
mod webhooks;
mod worker;
mod writes;
