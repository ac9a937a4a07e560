//! Redis as it is out there: other servers, TLS, users, clusters; everything that can go wrong
//! with it; what goes over the wire; and what a fleet of instances shares through it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod breaker;
mod cluster;
mod counter;
mod faults;
mod load;
mod round_trips;
mod servers;
mod store;
