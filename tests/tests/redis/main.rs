//! Redis as it is out there: other servers, TLS, users, clusters; and everything that can go wrong
//! with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod counter;
mod faults;
mod load;

mod servers;
