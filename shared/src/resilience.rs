//! What keeps the backend standing when too much is asked of it, or when what it depends on fails.

pub mod backoff;
pub mod breaker;
pub mod bulkhead;
pub mod guard;
mod limiter;
pub mod rate_limit;
pub mod retry;

pub use limiter::{Denied, Limiter, Limits, Ticket};
