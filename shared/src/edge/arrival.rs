//! What is known of a request when it arrives.

use std::net::IpAddr;

use axum::extract::Request;
use tokio::time::Instant;

use super::Malformed;

/// What whatever received a request knows of it: our HTTP server, or on Lambda the runtime. One
/// request extension, which the edge reads and handlers may.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// The peer of the connection; on Lambda the source address that the platform reports, if it
    /// reports one.
    pub peer: Option<IpAddr>,
    /// The platform's id of the request. Without it, an id is generated.
    pub request_id: Option<String>,
    /// When the platform ends the request. Such a platform (Lambda) may freeze the process as soon as
    /// it has the answer.
    pub deadline: Option<Instant>,
    /// The path as the client sent it, where routes match only part of it.
    pub original_path: Option<String>,
    /// Why the request can't be taken as it came. It is answered with that.
    pub malformed: Option<Malformed>,
}

impl Arrival {
    /// Why `request` can't be taken as it came, if it can't.
    pub(super) fn malformed(request: &Request) -> Option<Malformed> {
        request.extensions().get::<Self>()?.malformed
    }
}
