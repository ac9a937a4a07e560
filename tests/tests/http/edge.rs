//! What every request passes: who called, how long it may take, how many at once.

mod client_ip;
mod deadline;
mod overload;
mod rate_limits;
