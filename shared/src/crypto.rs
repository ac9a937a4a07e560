//! Ciphers, as pure functions: no I/O, no clock, randomness handed in.

mod at_rest;

pub use at_rest::{AtRest, OpenError};
