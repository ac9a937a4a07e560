//! Sealed bodies, from outside: over HTTP, and by other people's JOSE libraries.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod http;
