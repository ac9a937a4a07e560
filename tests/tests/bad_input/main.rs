//! What a broken or hostile client may send: a clear envelope each time, nothing written, and the
//! process lives on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod bodies;
mod scene;
mod tokens;
