//! What applies to every request: client address, deadline, concurrency and rate limits.

mod client_ip;
mod connections;
mod deadline;
mod overload;
mod rate_limits;
