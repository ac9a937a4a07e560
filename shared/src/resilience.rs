//! Protection against overload, and against failures of what the backend depends on.

pub mod backoff;
pub mod breaker;
pub mod bulkhead;
pub mod guard;
mod limiter;
pub mod rate_limit;
pub mod retry;

pub use limiter::{AddressCost, Denied, Limiter, Limits, Ticket};
