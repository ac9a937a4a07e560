//! The repository itself: its documents agree with the code.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docs;
