//! Redis in its variants (servers, TLS, users, clusters) and with its faults; the round trips of
//! each request; and the circuit breaker that a fleet of instances shares.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is read from top to bottom"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod breaker;
mod cluster;
mod counter;
mod faults;
mod iam;
mod leases;
mod load;
mod loads;
mod removals;
mod round_trips;
mod servers;
mod store;
